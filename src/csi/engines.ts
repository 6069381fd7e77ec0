/**
 * The engines that the controller's services speak to: each node has one, and this is the only way to it.
 */
import type { EngineApi } from '../api/engine-api.ts';

export interface NodeEngines {
  /** Every node that is known, reachable or not. */
  nodes(): Promise<string[]>;
  /** The engine of a node. Unknown node: undefined. Calls to one that does not answer fail with Unavailable. */
  engineOf(node: string): EngineApi | undefined;
}

/** Nodes that are known from the start. */
export class FixedEngines implements NodeEngines {
  private readonly engines: ReadonlyMap<string, EngineApi>;

  constructor(engines: ReadonlyMap<string, EngineApi>) {
    this.engines = engines;
  }

  async nodes(): Promise<string[]> {
    return [...this.engines.keys()];
  }

  engineOf(node: string): EngineApi | undefined {
    return this.engines.get(node);
  }
}
