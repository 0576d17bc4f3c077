// The file of `format='script'`: CommonJS, AMD, or a global in a plain script.
(function (root, factory) {
  if (typeof module === 'object' && module && typeof module.exports === 'object') {
    // Through another name: bundlers must not see `require('ws')` and pack it for the browser. Whoever loads
    // expects exceptions: the module may not be there, nor `require`.
    const owner = module;
    module.exports = factory((id) => owner.require(id));
    return;
  }
  // With AMD too: scripts of the page may know it by its global name only.
  const library = root['@name'] = factory(() => undefined);
  if (typeof define === 'function' && define.amd) define([], () => library);
})(typeof self === 'object' ? self : this, function (load) {
  'use strict';
  const SETTINGS = '@settings';
  '@sources';
  return Primus;
});
