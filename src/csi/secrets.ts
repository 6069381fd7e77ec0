/**
 * Requests as they may be logged: every field that the wire contract marks with `csi_secret` is left out, whatever its
 * name and however deep it is, and long texts are cut.
 *
 * A message of a type that the contract does not have is not logged at all.
 */
import path from 'node:path';
import protobuf from 'protobufjs';
import { CSI_PROTO, PROTO_DIR } from './services.ts';

const TEXT_MAX = 300;
const STRIPPED = '***stripped***';

export class Redactor {
  private readonly root: protobuf.Root;

  constructor() {
    this.root = new protobuf.Root();
    // What the contract imports of Google's comes with the proto loader (services.ts).
    this.root.resolvePath = (_origin, target) => path.join(PROTO_DIR, target);
    this.root.loadSync(CSI_PROTO).resolveAll();
  }

  /** `call`: "Controller/CreateVolume". */
  request(call: string, message: object): unknown {
    const [service, method] = call.split('/');
    const found = this.root.lookupService(`csi.v1.${service}`).methods[method!];
    if (!found?.resolvedRequestType) return STRIPPED;
    return redacted(found.resolvedRequestType, message);
  }
}

function redacted(type: protobuf.Type, message: object): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    const field = type.fields[name];
    // Beside the fields there are only the names of the alternatives that are set.
    if (field === undefined || isEmpty(value)) continue;
    shown[name] = field.options?.['(csi_secret)'] === true ? STRIPPED : valuesOf(field, value);
  }
  return shown;
}

function valuesOf(field: protobuf.Field, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => valuesOf(field, each));
  if (field.map) {
    const entries = Object.entries(value as object);
    return Object.fromEntries(entries.map(([key, each]) => [cut(key), oneOf(field, each)]));
  }
  return oneOf(field, value);
}

function oneOf(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type) return redacted(field.resolvedType, value as object);
  return typeof value === 'string' ? cut(value) : value;
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}... (${text.length} characters)`;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.keys(value as object).length === 0;
}
