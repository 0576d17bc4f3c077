// The `jsonh` parser: a list of uniform objects, flattened so that the names are written once:
//
//   [{"a":1,"b":2},{"a":3,"b":4}]  <->  [2,"a","b",1,2,3,4]
//
// The columns are the keys of the first row; what it lacks is dropped, what a later row lacks becomes null.
// Anything else is an error, with one exception that the original does not make: a text travels as the JSON
// of that text. Primus's own messages are texts, and in the original they come out as lists of characters.

const parser = (() => {
  function flatten(rows) {
    if (rows === null || typeof rows !== 'object' || !(rows.length >= 0)) {
      throw new TypeError('jsonh carries lists of objects, and text');
    }
    const names = rows.length ? Object.keys(rows[0]) : [];
    const cells = [names.length].concat(names);
    for (let i = 0; names.length && i < rows.length; i++) {
      for (const name of names) cells.push(rows[i][name]);
    }
    return cells;
  }

  function unflatten(cells) {
    // As in the original, which asks whatever it gets for its length.
    if (!Array.isArray(cells) || !cells.length) return [];
    const width = cells[0];
    const filled = cells.length - 1 - width;
    if (!Number.isInteger(width) || width < 0 || filled < 0 || (width ? filled % width : filled)) {
      throw new RangeError('The cells of the message do not fill its rows');
    }
    const names = cells.slice(1, width + 1).map(String);
    const rows = [];
    for (let at = width + 1; at < cells.length; at += width) {
      const row = {};
      names.forEach((name, column) => setMember(row, name, cells[at + column]));
      rows.push(row);
    }
    return rows;
  }

  return {
    encoder(data, fn) {
      let packet;
      try { packet = JSON.stringify(typeof data === 'string' ? data : flatten(data)); } catch (error) { return fn(error); }
      fn(null, packet);
    },

    // A binary frame passes as it is, as in the original.
    decoder(packet, fn) {
      let data = packet;
      try {
        if (typeof packet === 'string') {
          data = JSON.parse(packet);
          if (data === null) throw new TypeError('jsonh carries lists of objects, and text');
          if (typeof data !== 'string') data = unflatten(data);
        }
      } catch (error) { return fn(error); }
      fn(null, data);
    }
  };
})();
