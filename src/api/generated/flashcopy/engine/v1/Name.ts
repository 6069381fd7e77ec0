// Original file: proto/flashcopy/engine/v1/engine.proto


export interface Name {
  'name'?: (string);
}

export interface Name__Output {
  'name': (string);
}
