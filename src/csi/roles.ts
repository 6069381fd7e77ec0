/**
 * Which services each role serves: the controller those of all nodes, a node's those of its own, and one machine alone
 * all of them.
 */
import type { EngineApi } from '../api/engine-api.ts';
import { checkAnswers, checkEngine } from '../api/engine-health.ts';
import type { Listening } from '../api/unix-listener.ts';
import { controllerService } from './controller.ts';
import { FixedEngines, type NodeEngines } from './engines.ts';
import { groupControllerService } from './group-controller.ts';
import { identityService } from './identity.ts';
import { checkNodeId } from './ids.ts';
import { nodeService } from './node/node-service.ts';
import { Places } from './places.ts';
import { type CallObserver, serveCsi } from './server.ts';
import type { CsiServices } from './services.ts';
import { snapshotMetadataService } from './snapshot-metadata.ts';

/** `endpoint`: the unix socket that sidecars and kubelet use. */
type Served = { endpoint: string; version: string; observer?: CallObserver };
/** Of this machine. */
type OneEngine = { engine: EngineApi; nodeId: string };

export function serveController({
  endpoint,
  version,
  observer,
  engines,
}: Served & { engines: NodeEngines }): Promise<Listening> {
  // A node that is down is no reason to take the controller away from the others.
  const probe = async () => {
    await engines.nodes();
  };
  const services = { Identity: identityService(version, probe), ...controllerServices(engines) };
  return serveCsi(services, endpoint, observer);
}

export function serveNode({
  endpoint,
  version,
  observer,
  engine,
  nodeId,
}: Served & OneEngine): Promise<Listening> {
  const Identity = identityService(version, () => checkAnswers(engine));
  const Node = nodeService({ engine, nodeId: checkNodeId(nodeId) });
  return serveCsi({ Identity, Node }, endpoint, observer);
}

export function serveAlone({
  endpoint,
  version,
  observer,
  engine,
  nodeId,
}: Served & OneEngine): Promise<Listening> {
  const engines = new FixedEngines(new Map([[checkNodeId(nodeId), engine]]));
  const Identity = identityService(version, () => checkEngine(engine));
  const Node = nodeService({ engine, nodeId });
  return serveCsi({ Identity, Node, ...controllerServices(engines) }, endpoint, observer);
}

function controllerServices(engines: NodeEngines): CsiServices {
  const places = new Places(engines);
  return {
    Controller: controllerService(places),
    GroupController: groupControllerService(places),
    SnapshotMetadata: snapshotMetadataService(places),
  };
}
