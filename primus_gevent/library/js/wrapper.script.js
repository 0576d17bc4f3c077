// The file of `format='script'`: CommonJS, AMD, or a global in a plain script.
(function (root, name, factory) {
  'use strict';
  if (typeof module === 'object' && module && typeof module.exports === 'object') {
    // Through another name: bundlers must not see `require('ws')` and pack it for the browser.
    const owner = module;
    module.exports = factory((id) => (typeof owner.require === 'function' ? owner.require(id) : undefined));
    return;
  }
  const library = factory(() => undefined);
  // With AMD too: scripts of the page may know it by its global name only.
  root[name] = library;
  if (typeof define === 'function' && define.amd) define([], () => library);
})(typeof self === 'object' ? self : this, '@name', function (load) {
  'use strict';
  const SETTINGS = '@settings';
  '@sources';
  return Primus;
});
