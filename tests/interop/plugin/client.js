// The client side of the plugin `shout`: a method, which the server side answers behind the application's back.
function shout(primus, options) {
  primus.shout = function (text) {
    primus.write({ shout: Primus.louder(text) + (options.shoutMark || '!') });
  };
  primus.transform('incoming', function (packet) {
    if (!packet.data || packet.data.heard === undefined) return undefined;
    primus.emit('heard', packet.data.heard);
    return false;
  });
}
