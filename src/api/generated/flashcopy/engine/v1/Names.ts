// Original file: proto/flashcopy/engine/v1/engine.proto


export interface Names {
  'names'?: (string)[];
}

export interface Names__Output {
  'names': (string)[];
}
