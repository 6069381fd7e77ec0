/** What a node reads when it starts: the configuration of containerd, kubelet and kube-proxy. */
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../support/commands.ts';
import { PAUSE_IMAGE } from './images.ts';
import { ADDRESS, POD_NETWORK, podNetwork } from './site.ts';

export type NodeSpec = { name: string; number: number; directory: string; diskBytes: number };

/** JSON is YAML, and containerd's TOML is short. */
export async function writeNodeFiles(node: NodeSpec, ca: string): Promise<void> {
  const at = (...names: string[]) => path.join(node.directory, ...names);
  for (const name of ['kubelet', 'containerd', 'log', 'cni']) fs.mkdirSync(at(name), { recursive: true });
  fs.writeFileSync(at('disk'), '');
  fs.truncateSync(at('disk'), node.diskBytes);
  await run('mkfs.ext4', [
    '-q',
    '-E',
    'nodiscard,lazy_itable_init=1,lazy_journal_init=1',
    '-m',
    '0',
    at('disk'),
  ]);
  fs.writeFileSync(at('cni', '10-pods.conflist'), JSON.stringify(cni(node)));
  fs.writeFileSync(at('containerd.toml'), containerd(at('cni')));
  fs.writeFileSync(at('resolv.conf'), `nameserver ${ADDRESS}\n`);
  fs.writeFileSync(at('kubelet.yaml'), JSON.stringify(kubelet(ca, at('resolv.conf'))));
}

export function writeProxyFile(node: NodeSpec, kubeconfig: string): void {
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig },
    clusterCIDR: POD_NETWORK,
    hostnameOverride: node.name,
    // The kernel's limits belong to the machine.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
  fs.writeFileSync(path.join(node.directory, 'kube-proxy.yaml'), JSON.stringify(config));
}

const cni = (node: NodeSpec) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'pods',
      isGateway: true,
      ipMasq: false,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: podNetwork(node.number) }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: '/run/pod-addresses',
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

/** `restrict_oom_score_adj`: a root without CAP_SYS_RESOURCE can start no pod otherwise. */
const containerd = (cniDirectory: string) => `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${cniDirectory}"
`;

const kubelet = (ca: string, resolvConf: string) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  failCgroupV1: false,
  cgroupDriver: 'cgroupfs',
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  volumePluginDir: '/var/lib/kubelet/plugins-volume',
  authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: ca } },
  authorization: { mode: 'Webhook' },
  clusterDNS: [ADDRESS],
  clusterDomain: 'cluster.local',
  resolvConf,
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  // The disk is the machine's: how full it is, is not this node's to judge.
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1Mi', 'imagefs.available': '1Mi' },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
  // What takes long on a real node, so that tests need not wait: a pod's volumes are looked at this often.
  syncFrequency: '10s',
  volumeStatsAggPeriod: '10s',
  shutdownGracePeriod: '0s',
  maxPods: 60,
});
