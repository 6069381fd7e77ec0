/** The CustomResourceDefinitions of the custom resources (resources.ts), as the API server takes them. */
import {
  GROUP,
  mappingResource,
  type Resource,
  scheduleResource,
  syncResource,
  VERSION,
} from './resources.ts';

export type Crd = { metadata: { name: string } } & Record<string, unknown>;

export function customResourceDefinitions(): Crd[] {
  return [mappingResource, scheduleResource, syncResource].map(definitionOf);
}

function definitionOf(resource: Resource<unknown, unknown>): Crd {
  const { kind, plural, shortNames, description, spec, status, rules, columns } = resource;
  const schema = {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'The version of the API that this object is written in.' },
      kind: { type: 'string', description: 'What kind of object this is.' },
      metadata: { type: 'object' },
      spec: spec.schema,
      status: status.schema,
    },
    ...(rules.length > 0 && { 'x-kubernetes-validations': rules }),
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames,
        categories: ['flashcopy'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}
