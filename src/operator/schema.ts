/**
 * A custom resource's fields written once: the schema that the API server checks (OpenAPI v3, CEL) and the TypeScript type
 * come from the same expression, so neither can say something the other does not.
 *
 * Every field has a description: it is what `kubectl explain` prints.
 */
type Json = Readonly<Record<string, unknown>>;

/** `presence`: whether an object must have it, always has it because the server fills it in, or may lack it. */
type Presence = 'required' | 'filled' | 'optional';
export type Field<Type, P extends Presence = Presence> = {
  readonly schema: Json;
  readonly presence: P;
  /** Never there: carries the type. */
  readonly type?: Type;
};
type Fields = Readonly<Record<string, Field<unknown>>>;

type Present<F extends Fields> = { [K in keyof F]: F[K]['presence'] extends 'optional' ? never : K }[keyof F];
export type TypeOf<F> = F extends Field<infer Type> ? Type : never;
type RecordOf<F extends Fields> = { [K in Present<F>]: TypeOf<F[K]> } & {
  [K in Exclude<keyof F, Present<F>>]?: TypeOf<F[K]>;
};

/** A condition in CEL and what is said when it does not hold. */
export type Rule = { rule: string; message: string };
/** Written by an update it must stay as it is. */
export const IMMUTABLE: Rule = { rule: 'self == oldSelf', message: 'cannot be changed: make another object' };

type Limits = { minimum?: number; maximum?: number };
type TextLimits = { pattern?: string; minLength?: number; maxLength?: number };

const field = <Type>(schema: Json): Field<Type, 'required'> => ({ schema, presence: 'required' });
const ruled = (rules: readonly Rule[]) => (rules.length > 0 ? { 'x-kubernetes-validations': rules } : {});

export const text = (description: string, limits: TextLimits = {}, ...rules: Rule[]) =>
  field<string>({ description, type: 'string', ...limits, ...ruled(rules) });

/** The name of an object beside the one that names it. */
export const objectName = (description: string, ...rules: Rule[]) =>
  text(description, { minLength: 1, maxLength: 253 }, ...rules);

export const time = (description: string) =>
  field<string>({ description, type: 'string', format: 'date-time' });

export const whole = (description: string, limits: Limits = {}, ...rules: Rule[]) =>
  field<number>({ description, type: 'integer', format: 'int64', ...limits, ...ruled(rules) });

export const flag = (description: string, ...rules: Rule[]) =>
  field<boolean>({ description, type: 'boolean', ...ruled(rules) });

export const choice = <const Words extends readonly string[]>(description: string, words: Words) =>
  field<Words[number]>({ description, type: 'string', enum: words });

export const list = <Item>(description: string, { schema }: Field<Item>, maxItems: number) =>
  field<Item[]>({ description, type: 'array', items: schema, maxItems });

/** Kept apart by `key` when it is merged. */
const listBy = <Item>(description: string, key: string, { schema }: Field<Item>) =>
  field<Item[]>({
    description,
    type: 'array',
    items: schema,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [key],
  });

/** Names with a text each. */
export const texts = (description: string) =>
  field<Record<string, string>>({
    description,
    type: 'object',
    additionalProperties: { type: 'string' },
    maxProperties: 32,
  });

export function record<F extends Fields>(
  description: string,
  fields: F,
  ...rules: Rule[]
): Field<RecordOf<F>, 'required'> {
  const names = Object.keys(fields);
  const required = names.filter((name) => fields[name]!.presence === 'required');
  return field({
    description,
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(names.map((name) => [name, fields[name]!.schema])),
    ...ruled(rules),
  });
}

export const optional = <Type>({ schema }: Field<Type>): Field<Type, 'optional'> => ({
  schema,
  presence: 'optional',
});

export const filled = <Type>({ schema }: Field<Type>, value: Type): Field<Type, 'filled'> => ({
  schema: { ...schema, default: value },
  presence: 'filled',
});

/** As every controller of Kubernetes writes them. */
export const conditions = optional(
  listBy(
    'What is the case with it, and since when.',
    'type',
    record('One condition.', {
      type: text('What it is about.', { maxLength: 316 }),
      status: choice('Whether it is the case.', ['True', 'False', 'Unknown']),
      observedGeneration: optional(whole('The generation of the object that was looked at.', { minimum: 0 })),
      lastTransitionTime: time('When the status last became another.'),
      reason: text('Why, in one word.', { minLength: 1, maxLength: 1024 }),
      message: text('Why, for people.', { maxLength: 32768 }),
    }),
  ),
);
