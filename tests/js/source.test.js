'use strict';

// The text of the library: which JavaScript it is, how big, and what its types say.
const assert = require('node:assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const zlib = require('zlib');
const { describe, test } = require('node:test');
const ts = require('typescript');
const { ROOT, compile } = require('./support/library');

const FOLDER = path.join(ROOT, 'primus_gevent', 'library', 'js');
const FORMATS = ['script', 'esm'];
const namesIn = (folder) => fs.readdirSync(path.join(FOLDER, folder)).map((file) => path.basename(file, '.js'));
const PARSERS = namesIn('parsers');
const TRANSFORMERS = namesIn('transformers');
// One of either with each of the others: what they are built on must not get into each other's way.
const COMBINATIONS = TRANSFORMERS.flatMap((transformer) => PARSERS.map((parser) => ({ transformer, parser })));

function ownFiles(folder = FOLDER) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    return entry.isDirectory() ? ownFiles(file) : [file];
  });
}

function transpile(text, target) {
  return ts.transpileModule(text, {
    compilerOptions: { target, module: ts.ModuleKind.ESNext, removeComments: true }
  }).outputText;
}

/** The text printed again from its syntax tree: equal for texts that differ in comments and blanks only. */
function canonical(text) {
  const tree = ts.createSourceFile('x.js', text, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
  assert.deepStrictEqual(tree.parseDiagnostics.map((each) => each.messageText), []);
  return ts.createPrinter({ removeComments: true }).printFile(tree);
}

function trimmed(text) {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

for (const format of FORMATS) {
  test(`${format} is smaller than 23 KB, and 7 KB gzipped`, () => {
    const text = compile({ format });
    assert.ok(Buffer.byteLength(text) < 23000, `${Buffer.byteLength(text)} bytes`);
    assert.ok(zlib.gzipSync(text, { level: 9 }).length < 7000, `${zlib.gzipSync(text).length} bytes gzipped`);
  });
}

// Packages that the sizes are compared to, as a page of the original server loads them.
const ORIGINALS = { 'primus 8': 'primus', 'primus 2': './primus2/node_modules/primus' };

for (const [name, id] of Object.entries(ORIGINALS)) {
  const ours = { 'engine.io': ['engine.io', 'polling'], sockjs: ['sockjs'], browserchannel: ['browserchannel'] };
  // Primus 3 and later have it no more.
  if (name === 'primus 2') ours['socket.io'] = ['socket.io'];
  for (const [original, transformer] of Object.entries(ours).flatMap(([theirs, all]) => all.map((each) => [theirs, each]))) {
    test(`${transformer} is smaller than the ${original} client of ${name}, and 11 KB gzipped`, () => {
      const Primus = require(id);
      const primus = new Primus(http.createServer(), { transformer: original });
      const theirs = primus.library();
      primus.destroy({ close: false });
      const text = compile({ transformer });
      assert.ok(text.length < theirs.length, `${text.length} of ${theirs.length} bytes`);
      const gzipped = [text, theirs].map((each) => zlib.gzipSync(each, { level: 9 }).length);
      assert.ok(gzipped[0] < Math.min(gzipped[1], 11000), `${gzipped[0]} of ${gzipped[1]} bytes gzipped`);
    });
  }
}

// All of our files are in these: what each is in itself needs no more combinations.
const EACH = [...TRANSFORMERS.map((transformer) => ({ transformer })), ...PARSERS.map((parser) => ({ parser }))];

for (const [format, settings] of FORMATS.flatMap((each) => EACH.map((settings) => [each, settings]))) {
  test(`${format} of ${Object.values(settings)} is ES2017: nothing newer has to be translated`, () => {
    const text = compile({ format, ...settings });
    assert.strictEqual(transpile(text, ts.ScriptTarget.ES2017), transpile(text, ts.ScriptTarget.ESNext));
  });
}

for (const [format, { transformer, parser }] of FORMATS.flatMap((each) => COMBINATIONS.map((pair) => [each, pair]))) {
  describe(`${format} of ${transformer} with ${parser}`, () => {
    const text = compile({ format, transformer, parser });

    test('builds no code from text', () => {
      assert.doesNotMatch(text, /\beval\b|new Function\b/);
    });

    test('has no placeholder left', () => {
      assert.doesNotMatch(text, /'@\w+'/);
    });
  });
}

test('stripping the comments changed nothing else', () => {
  const kept = EACH.map((settings) => trimmed(canonical(compile(settings))));
  for (const file of ownFiles()) {
    if (path.basename(file).startsWith('wrapper.')) continue;
    const lines = trimmed(canonical(fs.readFileSync(file, 'utf8')));
    assert.ok(lines.length > 3, file);
    // The wrapper indents what the printer prints, but not the lines between.
    const found = kept.some((printed) => printed.some((line, start) => line === lines[0] &&
      lines.every((each, i) => each === printed[start + i])));
    assert.ok(found, `${file} is in no library as it is`);
  }
});

test('no name of a file is taken twice: they share one scope', () => {
  for (const settings of COMBINATIONS) {
    const tree = ts.createSourceFile('x.mjs', compile({ format: 'esm', ...settings }), ts.ScriptTarget.Latest);
    const names = tree.statements.flatMap((node) => {
      const declared = ts.isVariableStatement(node) ? Array.from(node.declarationList.declarations) : [node];
      return declared.filter((each) => each.name).map((each) => each.name.text);
    });
    assert.ok(names.includes('Primus') && names.includes('parser'));
    assert.deepStrictEqual(names.filter((name, i) => names.indexOf(name) !== i), []);
  }
});

test('no line of our own files is only a part of a text', () => {
  // What the stripping of comments relies on.
  for (const file of ownFiles()) {
    const tree = ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
    const visit = (node) => {
      const template = ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node);
      assert.ok(!template || !node.getText().includes('\n'), `${file}: ${node.getText()}`);
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }
});

describe('types', () => {
  const check = (files, options) => {
    const program = ts.createProgram(
      files.map((name) => path.join(__dirname, 'types', name)),
      { strict: true, noEmit: true, skipLibCheck: false, types: [], lib: ['lib.es2020.d.ts', 'lib.dom.d.ts'], ...options }
    );
    const problems = ts.getPreEmitDiagnostics(program).map((problem) => {
      const at = problem.file ? `${path.basename(problem.file.fileName)}:${
        problem.file.getLineAndCharacterOfPosition(problem.start).line + 1} ` : '';
      return at + ts.flattenDiagnosticMessageText(problem.messageText, '\n');
    });
    assert.deepStrictEqual(problems, []);
  };

  test('for import, with --strict', () => {
    check(['sample.ts'], { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, target: ts.ScriptTarget.ES2020 });
  });
  test('for require, with --strict', () => {
    check(['require.cts'], { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext });
  });
  test('for a global, with --strict', () => check(['global.ts'], { target: ts.ScriptTarget.ES2020 }));

  test('name every public method and property of the class', () => {
    const { Primus } = require('./support/browser').page();
    const declared = fs.readFileSync(path.join(ROOT, 'primus_gevent', 'library', 'primus.d.ts'), 'utf8');
    const client = new Primus({ manual: true });
    const names = new Set();
    for (const name in client) if (!name.startsWith('_')) names.add(name);
    // The parts that plugins of the original reach into, but that are nobody's interface.
    for (const name of ['buffer', 'transformers', 'timers', 'secure', 'AVOID_WEBSOCKETS',
      'NETWORK_EVENTS', 'encoder', 'decoder']) names.delete(name);
    const missing = Array.from(names).filter((name) => !new RegExp(`^\\s+(readonly )?${name}[(<:]`, 'm').test(declared));
    assert.deepStrictEqual(missing, []);
  });
});
