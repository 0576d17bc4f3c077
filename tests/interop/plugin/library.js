// What the client side of the plugin needs. Our server puts it before that in one scope, the original into a
// function of its own: in both there is `Primus`.
Primus.louder = function louder(text) {
  return text.toUpperCase();
};
