// Original file: proto/pluginregistration/v1/registration.proto


export interface RegistrationStatus {
  'pluginRegistered'?: (boolean);
  /**
   * Why it was not.
   */
  'error'?: (string);
}

export interface RegistrationStatus__Output {
  'pluginRegistered': (boolean);
  /**
   * Why it was not.
   */
  'error': (string);
}
