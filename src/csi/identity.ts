/** The Identity service: who the driver is, what it has, and whether it works. */
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { IdentityService } from './services.ts';

export const DRIVER_NAME = 'csi.flashcopy.dev';

/** `probe` fails with the reason while the driver cannot do its work. */
export function identityService(version: string, probe: () => Promise<void>): IdentityService {
  return {
    GetPluginInfo: async () => ({ name: DRIVER_NAME, vendorVersion: version }),
    GetPluginCapabilities: async () => ({
      capabilities: [
        { service: { type: 'CONTROLLER_SERVICE' } },
        { service: { type: 'VOLUME_ACCESSIBILITY_CONSTRAINTS' } },
        { service: { type: 'GROUP_CONTROLLER_SERVICE' } },
        { service: { type: 'SNAPSHOT_METADATA_SERVICE' } },
        { volumeExpansion: { type: 'ONLINE' } },
      ],
    }),
    Probe: async () => {
      try {
        await probe();
        return { ready: { value: true } };
      } catch (error) {
        if (!(error instanceof FlashCopyError)) throw error;
        log.warn('not ready', { reason: error.message });
        return { ready: { value: false } };
      }
    },
  };
}
