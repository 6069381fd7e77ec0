// Original file: proto/pluginregistration/v1/registration.proto


export interface PluginInfo {
  /**
   * 'CSIPlugin' for a CSI driver.
   */
  'type'?: (string);
  /**
   * The driver's name, as its Identity service tells it.
   */
  'name'?: (string);
  /**
   * The path of the socket with the driver's services, as kubelet sees it.
   */
  'endpoint'?: (string);
  /**
   * Versions of the plugin type's own interface.
   */
  'supportedVersions'?: (string)[];
}

export interface PluginInfo__Output {
  /**
   * 'CSIPlugin' for a CSI driver.
   */
  'type': (string);
  /**
   * The driver's name, as its Identity service tells it.
   */
  'name': (string);
  /**
   * The path of the socket with the driver's services, as kubelet sees it.
   */
  'endpoint': (string);
  /**
   * Versions of the plugin type's own interface.
   */
  'supportedVersions': (string)[];
}
