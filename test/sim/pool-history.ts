/** A history that is written out for one pool and checks it itself, played by seed. `play` throws where something is not as it must be. */
export type PoolHistory = { name: string; play: (seed: number) => void };

export const poolHistory = (name: string, play: (seed: number) => void): PoolHistory => ({
  name,
  play: (seed) => {
    try {
      play(seed);
    } catch (error) {
      throw new Error(`seed ${seed} of "${name}": ${(error as Error).message}`, { cause: error });
    }
  },
});
