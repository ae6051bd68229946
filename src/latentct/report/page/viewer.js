"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const { shape, spacingMm, affineLpsMm, firstSlice } = JSON.parse(byId("meta").textContent);
  const [D, H, W] = shape;
  const [dz, dy, dx] = spacingMm;
  const canvas = byId("slice-canvas");
  const context = canvas.getContext("2d");

  // Axes grow to superior, posterior and left; a picture starts at its top left pixel and steps right and down.
  const planes = {
    axial: { count: D, rows: H, columns: W, rowMm: dy, columnMm: dx, start: (k) => k * H * W, down: W, right: 1, edges: "APRL" },
    coronal: { count: H, rows: D, columns: W, rowMm: dz, columnMm: dx, start: (k) => (D - 1) * H * W + k * W, down: -H * W, right: 1, edges: "SIRL" },
    sagittal: { count: W, rows: D, columns: H, rowMm: dz, columnMm: dy, start: (k) => (D - 1) * H * W + k, down: -H * W, right: W, edges: "SIAP" },
  };
  const greys = ramp([[0, 0, 0], [255, 255, 255]]);
  const blueToRed = ramp([[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]]);
  const heat = ramp([[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]);
  const tintColour = [64, 137, 255];
  const imageWindow = { level: 40, width: 400 };
  const views = {
    before: { title: "Before", colours: greys, window: imageWindow },
    after: { title: "After", colours: greys, window: imageWindow },
    difference: { title: "After minus before", colours: blueToRed, window: { level: 0, width: 600 } },
    uncertainty: { title: "Uncertainty", colours: heat, window: { level: 75, width: 150 } },
  };
  const circleMm = 10;
  const state = { view: "after", plane: "axial", zoom: 1, slices: { axial: firstSlice, coronal: H >> 1, sagittal: W >> 1 } };
  let pointer = null; // where the mouse rests on the picture

  function ramp(stops) {
    const table = new Uint8ClampedArray(256 * 3);
    for (let i = 0; i < 256; i++) {
      const place = (i / 255) * (stops.length - 1);
      const n = Math.min(Math.floor(place), stops.length - 2);
      for (let c = 0; c < 3; c++) table[3 * i + c] = stops[n][c] + (place - n) * (stops[n + 1][c] - stops[n][c]);
    }
    return table;
  }

  // The inverse of packing.encode: low bytes, then high bytes, of the differences of neighbours, modulo 2^16.
  async function unpack(name) {
    const text = atob(byId("data-" + name).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const packed = new Uint8Array(await new Response(inflated).arrayBuffer());
    const values = new Int16Array(packed.length / 2);
    for (let i = 0, value = 0; i < values.length; i++) {
      value = (value + packed[i] + 256 * packed[values.length + i]) & 0xffff;
      values[i] = value;
    }
    return values;
  }

  const limits = ({ level, width }) => [level - width / 2, level + width / 2];
  const isImage = () => views[state.view].colours === greys;

  function draw() {
    const plane = planes[state.plane];
    const { data, colours, window } = views[state.view];
    const [low, high] = limits(window);
    const tinted = views.synthesised && isImage() && byId("tint").checked;
    const picture = context.createImageData(plane.columns, plane.rows);
    for (let row = 0, pixel = 0; row < plane.rows; row++) {
      let voxel = plane.start(state.slices[state.plane]) + row * plane.down;
      for (let column = 0; column < plane.columns; column++, pixel += 4, voxel += plane.right) {
        const share = Math.min(Math.max((data[voxel] - low) / (high - low), 0), 1);
        const entry = 3 * Math.round(255 * share);
        const mixed = tinted && views.synthesised.data[voxel] ? 0.3 : 0;
        for (let c = 0; c < 3; c++) picture.data[pixel + c] = (1 - mixed) * colours[entry + c] + mixed * tintColour[c];
        picture.data[pixel + 3] = 255;
      }
    }
    canvas.width = plane.columns;
    canvas.height = plane.rows;
    context.putImageData(picture, 0, 0);
  }

  function describe() {
    const plane = planes[state.plane];
    const slice = state.slices[state.plane];
    const { title, window, colours } = views[state.view];
    const [low, high] = limits(window);
    const middle = { axial: [slice, (H - 1) / 2, (W - 1) / 2], coronal: [(D - 1) / 2, slice, (W - 1) / 2], sagittal: [(D - 1) / 2, (H - 1) / 2, slice] };
    const axis = { axial: ["z", 2], coronal: ["y", 1], sagittal: ["x", 0] }[state.plane];
    const size = `${plane.rowMm.toFixed(2)} × ${plane.columnMm.toFixed(2)} mm`;
    byId("caption").textContent =
      `${title}, ${state.plane} slice ${slice + 1} of ${plane.count} at ${axis[0]} = ${positionMm(middle[state.plane])[axis[1]].toFixed(1)} mm, ` +
      `window [${low}, ${high}] HU, pixel ${size}`;
    byId("number").textContent = `${slice + 1} of ${plane.count}`;
    byId("slice").max = plane.count - 1;
    byId("slice").value = slice;
    byId("level").value = window.level;
    byId("width").value = window.width;
    byId("level").disabled = byId("presets").disabled = byId("tint").disabled = !isImage();
    byId("low").textContent = `${low} HU`;
    byId("high").textContent = `${high} HU`;
    ["top", "bottom", "left", "right"].forEach((edge, i) => { byId(edge).textContent = plane.edges[i]; });
    const [acrossMm, downMm] = [plane.columns * plane.columnMm, plane.rows * plane.rowMm];
    byId("frame").style.width = `${100 * Math.min(1, acrossMm / downMm)}%`;
    byId("frame").style.transform = `scale(${state.zoom})`;
    byId("frame").style.setProperty("--zoom", state.zoom);
    canvas.style.aspectRatio = `${acrossMm} / ${downMm}`;
    byId("circle").style.width = `${(100 * circleMm) / acrossMm}%`;
    byId("circle").style.height = `${(100 * circleMm) / downMm}%`;
    const shownMm = Math.max(acrossMm, downMm) / state.zoom;
    const barMm = [50, 20, 10, 5, 2, 1].find((mm) => mm <= shownMm / 4) || 1;
    byId("bar").style.width = `${(100 * barMm) / shownMm}%`;
    byId("length").textContent = `${barMm} mm`;
    const bar = byId("colours").getContext("2d");
    const strip = bar.createImageData(256, 1);
    for (let i = 0; i < 256; i++) strip.data.set([...colours.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    bar.putImageData(strip, 0, 0);
  }

  function positionMm(index) {
    return affineLpsMm.slice(0, 3).map((row) => row[3] + row[0] * index[0] + row[1] * index[1] + row[2] * index[2]);
  }

  function show() {
    draw();
    describe();
    if (pointer) point(pointer);
  }

  function goTo(slice) {
    state.slices[state.plane] = Math.min(Math.max(slice, 0), planes[state.plane].count - 1);
    show();
  }
  const step = (n) => goTo(state.slices[state.plane] + n);

  function setWindow(level, width) {
    const { window } = views[state.view];
    window.width = Math.max(Math.round(width), 1);
    // Differences stay centred on zero, and an uncertainty starts at zero.
    window.level = { difference: 0, uncertainty: window.width / 2 }[state.view];
    if (isImage()) window.level = Math.round(level);
    document.getElementsByName("preset").forEach((preset) => { preset.checked = preset.value === `${imageWindow.level},${imageWindow.width}`; });
    show();
  }

  function choose(group, value) {
    const choice = document.querySelector(`input[name=${group}][value="${value}"]`);
    if (!choice) return;
    choice.checked = true;
    state[group] = group === "zoom" ? Number(value) : value;
    show();
  }

  function point(event) {
    pointer = event;
    const plane = planes[state.plane];
    const box = canvas.getBoundingClientRect();
    const column = Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * plane.columns), 0), plane.columns - 1);
    const row = Math.min(Math.max(Math.floor(((event.clientY - box.top) / box.height) * plane.rows), 0), plane.rows - 1);
    const voxel = plane.start(state.slices[state.plane]) + row * plane.down + column * plane.right;
    const [x, y, z] = positionMm([Math.floor(voxel / (H * W)), Math.floor(voxel / W) % H, voxel % W]).map((mm) => mm.toFixed(1));
    const spread = views.uncertainty.data ? `, uncertainty ${views.uncertainty.data[voxel]} HU` : "";
    const circle = circleVoxels(plane, row, column);
    byId("around").textContent = `Circle of ${circleMm} mm: ${meanAndSpread(views.before.data, circle)} before, ${meanAndSpread(views.after.data, circle)} after`;
    byId("circle").style.left = `${(100 * (column + 0.5)) / plane.columns}%`;
    byId("circle").style.top = `${(100 * (row + 0.5)) / plane.rows}%`;
    byId("circle").hidden = false;
    const source = views.synthesised && views.synthesised.data[voxel] ? ", rests on synthesised rays" : "";
    byId("pointed").textContent = `(${x}, ${y}, ${z}) mm: ${views.before.data[voxel]} HU before, ${views.after.data[voxel]} HU after${spread}${source}`;
  }

  function circleVoxels(plane, row, column) {
    const [rows, columns] = [circleMm / 2 / plane.rowMm, circleMm / 2 / plane.columnMm].map(Math.floor);
    const voxels = [];
    for (let r = Math.max(row - rows, 0); r <= Math.min(row + rows, plane.rows - 1); r++) {
      for (let c = Math.max(column - columns, 0); c <= Math.min(column + columns, plane.columns - 1); c++) {
        if (Math.hypot((r - row) * plane.rowMm, (c - column) * plane.columnMm) <= circleMm / 2) {
          voxels.push(plane.start(state.slices[state.plane]) + r * plane.down + c * plane.right);
        }
      }
    }
    return voxels;
  }

  function meanAndSpread(data, voxels) {
    const mean = voxels.reduce((sum, voxel) => sum + data[voxel], 0) / voxels.length;
    const variance = voxels.reduce((sum, voxel) => sum + (data[voxel] - mean) ** 2, 0) / voxels.length;
    return `${mean.toFixed(1)} ± ${Math.sqrt(variance).toFixed(1)} HU`;
  }

  function zoomAbout(event) {
    const box = canvas.getBoundingClientRect();
    if (state.zoom === 1) {
      byId("frame").style.transformOrigin = `${(100 * (event.clientX - box.left)) / box.width}% ${(100 * (event.clientY - box.top)) / box.height}%`;
    }
    choose("zoom", { 1: 2, 2: 4, 4: 1 }[state.zoom]);
  }

  function listen() {
    const keys = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    canvas.addEventListener("keydown", (event) => {
      if (event.key in keys) { event.preventDefault(); step(keys[event.key]); }
      if ("1234".includes(event.key)) choose("view", Object.keys(views)[event.key - 1]);
      if (event.key.toLowerCase() === "o" && isImage()) byId("tint").click();
    });
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); step(-Math.sign(event.deltaY)); }, { passive: false });
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => {
      pointer = null;
      byId("circle").hidden = true;
    });
    canvas.addEventListener("dblclick", zoomAbout);
    canvas.addEventListener("pointermove", (event) => {
      point(event);
      const { level, width } = views[state.view].window;
      if (event.pointerType === "mouse" && event.buttons === 1) setWindow(level - 2 * event.movementY, width + 4 * event.movementX);
    });
    byId("slice").addEventListener("input", (event) => goTo(Number(event.target.value)));
    for (const id of ["level", "width"]) byId(id).addEventListener("change", () => setWindow(Number(byId("level").value), Number(byId("width").value)));
    byId("tint").addEventListener("change", show);
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("controls").addEventListener("change", ({ target }) => {
      if (target.name === "preset") setWindow(...target.value.split(",").map(Number));
      if (target.name in state) choose(target.name, target.value);
    });
  }

  if (!window.DecompressionStream) {
    byId("caption").textContent = "This browser is too old to unpack the volume; Chrome 80, Firefox 113 and Safari 16.4 can.";
    return;
  }
  for (const element of document.querySelectorAll(".volume")) {
    const name = element.id.replace("data-", "");
    views[name] = Object.assign(views[name] || {}, { data: await unpack(name) });
    element.textContent = "";
  }
  views.after.data = views.before.data.map((value, i) => value + views.difference.data[i]);
  listen();
  show();
})();
