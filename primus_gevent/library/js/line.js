// Keeps messages in order whose processing may answer late: whoever took a place first leaves first. Nobody
// waits with the processing itself, only with what comes after it.

// A line is a function that takes a place. It returns one that is called when the processing is over, with what
// is to be done when all before have left; a second call does nothing.
function newLine() {
  const places = [];
  return () => {
    const place = { leave: null };
    places.push(place);
    return (fn) => {
      if (place.leave) return;
      place.leave = fn;
      while (places.length && places[0].leave) places.shift().leave();
    };
  };
}
