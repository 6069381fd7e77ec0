/**
 * Preload (`node --import`) that slides a layer of faults in between the engine and its files: wherever the engine's
 * sources import the ring, they get one that can fail (faulty-ring.ts). The shipped program knows nothing of it.
 *
 * It is inherited by the engine process and its data thread. The rules come from the file that FAULTS_ENV names.
 */
import { registerHooks } from 'node:module';

const real = new URL('../../src/sys/ring.ts', import.meta.url).href;
const faulty = new URL('./faulty-ring.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    return found.url === real && context.parentURL !== faulty ? { ...found, url: faulty } : found;
  },
});
