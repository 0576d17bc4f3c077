// The file of `format='esm'`.

// For the `ws` package in Node. There is no static import: browsers and bundlers would ask for it.
function load(id) {
  if (typeof process !== 'object' || typeof process.getBuiltinModule !== 'function') return undefined;
  return process.getBuiltinModule('node:module').createRequire(import.meta.url)(id);
}
const SETTINGS = '@settings';
'@sources';
export { Primus, EventEmitter };
export default Primus;
