# A node of kind, as kind's own image is made: Debian with systemd, its container runtime, kind's files, Kubernetes, and
# the images that a cluster starts from.
FROM debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates conntrack containerd containernetworking-plugins curl dbus e2fsprogs ethtool fuse3 iproute2 iptables \
      jq kmod mount nftables pigz procps runc systemd systemd-sysv util-linux xfsprogs \
    && rm -rf /var/lib/apt/lists/* /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
         /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
         /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
    && find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete \
    && echo ReadKMsg=no >>/etc/systemd/journald.conf
COPY kind/ /
COPY hyperkube /usr/bin/hyperkube
COPY kubeadm /usr/bin/kubeadm
COPY default-cni.yaml default-storage.yaml /kind/manifests/
ARG KUBERNETES_VERSION
ARG PAUSE_IMAGE
# The cgroup driver is cgroupfs: with version 1 of cgroups and systemd's, kubelet dies now and then.
RUN chmod -R 755 /usr/local/bin /kind/bin \
    && ln -s hyperkube /usr/bin/kubelet && ln -s hyperkube /usr/bin/kubectl \
    && ln -s /usr/bin/containerd /usr/bin/ctr /usr/local/bin/ && ln -s /usr/sbin/runc /usr/local/sbin/ \
    && mkdir -p /opt/cni /etc/kubernetes/manifests /etc/cni/net.d && ln -s /usr/lib/cni /opt/cni/bin \
    && echo "$KUBERNETES_VERSION" >/kind/version \
    && ctr oci spec \
       | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
       >/etc/containerd/cri-base.json \
    && sed -i -e 's/SystemdCgroup = true/SystemdCgroup = false/' -e 's/\(restrict_oom_score_adj = \)false/\1true/' \
         -e "s#sandbox_image = .*#sandbox_image = \"$PAUSE_IMAGE\"#" /etc/containerd/config.toml \
    && systemctl enable kubelet.service containerd.service undo-mount-hacks.service && systemctl mask systemd-binfmt.service
# Without unpacking them, which needs mounts: the runtime does that at first use.
RUN --mount=type=bind,source=images,target=/images \
    containerd --log-level error & \
    until ctr version >/dev/null 2>&1; do sleep 0.2; done; \
    set -e; \
    for image in /images/*.tar; do ctr --namespace k8s.io images import --no-unpack "$image"; done; \
    kill $! && wait $! || true
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
