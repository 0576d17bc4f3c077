'use strict';

// The library as our compiler makes it. Python is the one that runs the tests, or else the project's own.
const { execFileSync } = require('child_process');
const { createHash } = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');

const ROOT = path.join(__dirname, '..', '..', '..');
const OWN_PYTHON = path.join(ROOT, '.venv', 'bin', 'python');
const PYTHON = process.env.PYTHON || (fs.existsSync(OWN_PYTHON) ? OWN_PYTHON : 'python3');

// What all Node programs of a run of pytest share (tests/unit/library): most of the time of compiling is Python's start,
// and everything else in the process waits meanwhile.
const SHARED = process.env.PRIMUS_TEST_COMPILED;

const compiled = new Map();

/** The text of the library, for settings spelled as in Python; `format` is among them. */
function compile(settings = {}) {
  const key = JSON.stringify(Object.fromEntries(Object.entries(settings).sort()));
  if (!compiled.has(key)) compiled.set(key, SHARED ? shared(key) : run(key));
  return compiled.get(key);
}

function run(key) {
  return execFileSync(PYTHON, [path.join(__dirname, 'compile.py'), key], { encoding: 'utf8' });
}

function shared(key) {
  const file = path.join(SHARED, `${createHash('sha256').update(key).digest('hex')}.js`);
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const text = run(key);
  // Others may look for it meanwhile: they find all of it, or nothing.
  const unfinished = `${file}.${process.pid}`;
  fs.writeFileSync(unfinished, text);
  fs.renameSync(unfinished, file);
  return text;
}

let folder = null;

/** A file of that text in a folder that disappears with the process. */
function save(name, text) {
  if (!folder) {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'primus-client-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  }
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

/** The constructor, required as a Node program requires it, with `ws` beside it. */
function load(settings = {}) {
  const Module = require('module');
  const module = new Module(path.join(__dirname, '..', 'primus.js'));
  module.filename = module.id;
  module.paths = Module._nodeModulePaths(path.dirname(module.id));
  module._compile(compile(settings), module.filename);
  return module.exports;
}

module.exports = { ROOT, PYTHON, compile, save, load };
