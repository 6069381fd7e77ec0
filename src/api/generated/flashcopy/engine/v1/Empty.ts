// Original file: proto/flashcopy/engine/v1/engine.proto


export interface Empty {
}

export interface Empty__Output {
}
