
// Click a picture, or press Enter on it, to see it as large as the window; again, or Escape, to go back.
document.querySelectorAll(".picture").forEach(function (button) {
  button.addEventListener("click", function () { button.classList.toggle("large"); });
});
document.addEventListener("keydown", function (event) {
  if (event.key === "Escape") {
    document.querySelectorAll(".large").forEach(function (button) { button.classList.remove("large"); });
  }
});

// The plane of codes: the pointer or the arrow keys choose a point, and the four images of the lattice around it are
// blended. Without this script the still picture stays.
document.querySelectorAll(".plane").forEach(function (plane) {
  var facts = JSON.parse(plane.dataset.facts), sprite = plane.querySelector("img");
  var map = plane.querySelector(".map"), view = map.getContext("2d"), side = map.width, last = facts.count - 1;
  var decoded = plane.querySelector(".decoded"), image = decoded.getContext("2d");
  var zoom = Math.max(1, Math.round(260 / Math.max(facts.width, facts.height)));
  var still = document.createElement("canvas"), back = still.getContext("2d");
  var at;  // where the pointer is: u of the width, v of the height from above
  decoded.width = zoom * facts.width;
  decoded.height = zoom * facts.height;
  still.width = still.height = side;

  function place(point) {
    return { u: (point[0] - facts.x[0]) / (facts.x[1] - facts.x[0]), v: (facts.y[1] - point[1]) / (facts.y[1] - facts.y[0]) };
  }

  function colour(label) { return label < 0 ? "#94a4a2" : facts.colours[label % facts.colours.length]; }

  function dot(context, x, y, size, label) {
    context.fillStyle = colour(label);
    context.beginPath();
    if (label >= facts.colours.length) { context.rect(x - size, y - size, 2 * size, 2 * size); }  // a second round
    else { context.arc(x, y, size, 0, 2 * Math.PI); }
    context.fill();
    context.stroke();
  }

  function paint() {  // what does not move
    back.fillStyle = "#fff";
    back.fillRect(0, 0, side, side);
    back.globalAlpha = 0.2;
    back.drawImage(sprite, 0, 0, side, side);
    back.globalAlpha = 0.9;
    back.strokeStyle = "#fff";
    back.lineWidth = 0.7;
    facts.points.forEach(function (point, index) {
      var to = place(point);
      if (to.u >= 0 && to.u <= 1 && to.v >= 0 && to.v <= 1) {
        dot(back, to.u * side, to.v * side, 3.5, facts.labels[index]);
      }
    });
    back.globalAlpha = 1;
  }

  function blend() {
    var column = Math.min(Math.floor(at.u * last), last - 1), row = Math.min(Math.floor(at.v * last), last - 1);
    var across = at.u * last - column, down = at.v * last - row;
    image.globalCompositeOperation = "source-over";
    image.globalAlpha = 1;
    image.fillStyle = "#000";
    image.fillRect(0, 0, decoded.width, decoded.height);
    image.imageSmoothingEnabled = false;
    image.globalCompositeOperation = "lighter";  // adds: the four weights sum to one
    [[0, 0], [1, 0], [0, 1], [1, 1]].forEach(function (step) {
      image.globalAlpha = (step[0] ? across : 1 - across) * (step[1] ? down : 1 - down);
      image.drawImage(sprite, (column + step[0]) * facts.width, (row + step[1]) * facts.height, facts.width,
        facts.height, 0, 0, decoded.width, decoded.height);
    });
  }

  function show() {
    var x = facts.x[0] + at.u * (facts.x[1] - facts.x[0]), y = facts.y[1] - at.v * (facts.y[1] - facts.y[0]);
    var code = x.toPrecision(4) + "," + y.toPrecision(4);
    view.drawImage(still, 0, 0);
    view.lineWidth = 2;
    view.strokeStyle = "#000";
    view.strokeRect(at.u * side - 7, at.v * side - 7, 14, 14);
    view.strokeStyle = "#fff";
    view.strokeRect(at.u * side - 5, at.v * side - 5, 10, 10);
    blend();
    plane.querySelector("output").textContent = "z = [" + code.replace(",", ", ") + "]";
    plane.querySelector("pre").textContent = "dlkit decode " + facts.run + " --code " + code + " --out x.png";
  }

  function move(u, v) {
    at = { u: Math.min(1, Math.max(0, u)), v: Math.min(1, Math.max(0, v)) };
    show();
  }

  function follow(event) {
    var box = map.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  map.addEventListener("pointermove", follow);
  map.addEventListener("pointerdown", follow);
  map.addEventListener("keydown", function (event) {
    var step = event.shiftKey ? 0.005 : 0.025;
    var way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) { event.preventDefault(); move(at.u + step * way[0], at.v + step * way[1]); }
  });

  function start() {
    facts.classes.slice(0, 2 * facts.colours.length).forEach(function (name, label) {
      if (facts.labels.indexOf(label) < 0) { return; }
      var item = document.createElement("li"), mark = document.createElement("i");
      mark.style.background = colour(label);
      if (label < facts.colours.length) { mark.style.borderRadius = "50%"; }
      item.append(mark, name);
      plane.querySelector(".legend").append(item);
    });
    plane.hidden = false;
    plane.parentNode.querySelector(".still").hidden = true;
    paint();
    var first = facts.points.length ? place(facts.points[0]) : { u: 0.5, v: 0.5 };
    move(first.u, first.v);
  }

  if (sprite.complete) { start(); } else { sprite.addEventListener("load", start); }
});
