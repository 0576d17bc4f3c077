// Keeps messages in order whose processing may answer late: whoever took a place first leaves first. Nobody
// waits with the processing itself, only with what comes after it.

class Line {
  constructor() {
    this.places = [];
  }

  // Takes a place. The function returned is called when the processing is over, with what is to be done when
  // all before have left; a second call does nothing.
  place() {
    const place = { leave: null };
    this.places.push(place);
    return (fn) => {
      if (place.leave) return;
      place.leave = fn;
      while (this.places.length && this.places[0].leave) this.places.shift().leave();
    };
  }
}
