/** Words to write a JSON schema with, in which every value has a description and, where it makes sense, a default. */

export type Schema = {
  type?: string | string[];
  description: string;
  default?: unknown;
  enum?: readonly unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  items?: Schema | object;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, object>;
  additionalProperties?: boolean | object;
  required?: readonly string[];
  examples?: readonly unknown[];
};

type More = Omit<Partial<Schema>, 'type' | 'description' | 'default'>;

export const text = (description: string, value: string, more: More = {}): Schema => ({
  type: 'string',
  description,
  default: value,
  ...more,
});

export const flag = (description: string, value: boolean): Schema => ({
  type: 'boolean',
  description,
  default: value,
});

export const whole = (description: string, value: number, minimum: number, maximum?: number): Schema => ({
  type: 'integer',
  description,
  default: value,
  minimum,
  ...(maximum !== undefined && { maximum }),
});

export const choice = (description: string, value: string, words: readonly string[]): Schema => ({
  type: 'string',
  description,
  default: value,
  enum: words,
});

/** An object of Kubernetes' own, whose fields the API server knows best. */
export const foreign = (description: string, value: object = {}): Schema => ({
  type: 'object',
  description,
  default: value,
});

export const foreignList = (description: string, value: object[] = []): Schema => ({
  type: 'array',
  items: { type: 'object' },
  description,
  default: value,
});

export const texts = (description: string, value: string[] = []): Schema => ({
  type: 'array',
  items: { type: 'string' },
  description,
  default: value,
});

/** Labels, annotations: names to texts. */
export const words = (description: string, value: Record<string, string> = {}): Schema => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  description,
  default: value,
});

/** A group of values: no others are known. */
export const group = (description: string, properties: Record<string, Schema>, more: More = {}): Schema => ({
  type: 'object',
  description,
  properties,
  additionalProperties: false,
  ...more,
});

/** A list of groups; a group's own defaults are those of entries that leave the value out. */
export const groups = (description: string, items: Schema, value: object[]): Schema => ({
  type: 'array',
  description,
  items,
  default: value,
});
