// The `polling` transformer: Engine.IO without WebSocket.

function transformer(client, relay) {
  const engine = new Engine(client, relay);
  engine.open();
  return engine;
}
