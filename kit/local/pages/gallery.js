// The images of a competition: a list that is ordered and filtered by error, and one picture that is zoomed, with
// outlines that are switched on and off. Each gallery is a section with its data in a script element (gallery.py).
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  // What a layer draws where it isn't the paths of its own name.
  const PARTS = { pixels: ["lacking", "surplus"] };
  const HATCHES = { missed: ["--truth", 45], false: ["--prediction", -45], lacking: ["--truth", 0], surplus: ["--prediction", 90] };
  const SPACING = 7; // pixels of the screen between the lines of a hatch

  const node = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const drawn = (name, attributes, ...children) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // --- the address: #image=GALLERY/ID&at=x,y,width in pixels of the image --------------------------------------

  const place = () => {
    const found = new URLSearchParams(location.hash.slice(1));
    const [gallery, ...rest] = (found.get("image") ?? "").split("/");
    const at = (found.get("at") ?? "").split(",").map(Number);
    return { gallery, id: rest.join("/"), at: at.length === 3 && at.every(Number.isFinite) && at[2] > 0 ? at : null };
  };
  const keepPlace = (gallery, id, at) => {
    const words = new URLSearchParams({ image: `${gallery}/${id}` });
    if (at) words.set("at", at.map((value) => Math.round(value)).join(","));
    const text = words.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
    history.replaceState(null, "", `#${text}`);
  };

  class Gallery {
    constructor(section) {
      this.section = section;
      this.data = JSON.parse(section.querySelector("script.data").textContent);
      this.find = (selector) => section.querySelector(selector);
      this.list = this.find(".list");
      this.errorAt = -1;
      this.makeLayers();
      this.find(".error-step")?.addEventListener("click", () => this.nextError());
      this.find(".order").addEventListener("change", () => this.fill());
      this.find(".only")?.addEventListener("change", (event) => {
        // Whoever looks for an error wants to see it.
        if (event.target.value) this.on[event.target.value] = true;
        this.current = null;
        this.fill();
      });
      this.find(".previous").addEventListener("click", () => this.step(-1));
      this.find(".next").addEventListener("click", () => this.step(1));
      for (const name of ["in", "out", "home"]) this.find(`.zoom .${name}`).addEventListener("click", () => this.zoom(name));
      this.list.addEventListener("click", (event) => {
        const item = event.target.closest(".item");
        if (item) this.show(item.dataset.id, { keep: true });
      });
      section.addEventListener("keydown", (event) => this.key(event));
      this.fill();
    }

    // --- the list ---

    fill() {
      const order = this.find(".order").value;
      const only = this.find(".only")?.value ?? "";
      const known = this.data.images.filter((image) => !only || image.counts[only]);
      if (order === "best") known.reverse();
      if (order === "id") known.sort((a, b) => (a.id < b.id ? -1 : 1));
      this.images = known;
      this.list.replaceChildren(...known.map((image) => this.item(image)));
      const all = this.data.images.length;
      const few = known.length === all ? `${all} ${all === 1 ? "image" : "images"}` : `${known.length} of ${all} images`;
      const pictures = this.data.pictures.length;
      this.counted = pictures < all ? `${few}, ${pictures} with a picture` : few;
      this.find(".count").textContent = this.counted;
      if (this.current && known.includes(this.current)) this.mark();
      else if (known.length) this.show(known[0].id);
      else this.message("No image has such an error.");
    }

    item(image) {
      const told = ["missed", "false", "split", "merged"].filter((name) => image.counts[name]).map((name) => `${image.counts[name]} ${name}`);
      const quiet = this.section.dataset.truth ? "no errors" : `${image.predicted} predicted`;
      const errors = this.section.dataset.objects ? told.join(" · ") || quiet : "";
      const score = image.score === null ? "" : image.score.toFixed(3);
      const meter = node("div", { class: "meter" }, node("i"));
      meter.firstChild.style.width = `${100 * image.better}%`;
      const words = node("div", {}, node("div", { class: "id" }, image.id));
      if (score) words.append(node("div", { class: "score" }, score));
      if (score && this.section.dataset.meter) words.append(meter);
      words.append(node("div", { class: "errors" }, errors));
      const small = image.thumbnail ? node("img", { src: image.thumbnail, alt: "", width: 48, height: 48 }) : node("div", { class: "none" });
      const label = `${image.id}${score ? `, score ${score}` : ""}, ${errors}${image.picture === null ? ", no picture" : ""}`;
      return node("div", { class: "item", role: "option", id: `${this.data.name}/${image.id}`, "data-id": image.id, "aria-label": label, title: image.id }, small, words);
    }

    mark() {
      const index = this.images.indexOf(this.current);
      this.find(".previous").disabled = index <= 0;
      this.find(".next").disabled = index < 0 || index >= this.images.length - 1;
      for (const item of this.list.children) {
        const chosen = item.dataset.id === this.current?.id;
        item.setAttribute("aria-selected", chosen);
        if (!chosen) continue;
        this.list.setAttribute("aria-activedescendant", item.id);
        // Not scrollIntoView, which would move the page as well.
        const box = item.getBoundingClientRect(), frame = this.list.getBoundingClientRect();
        if (box.top < frame.top || box.bottom > frame.bottom) this.list.scrollTop += box.top - frame.top - 8;
        if (box.left < frame.left || box.right > frame.right) this.list.scrollLeft += box.left - frame.left - 8;
      }
    }

    step(by) {
      const next = this.images[this.images.indexOf(this.current) + by];
      if (next) this.show(next.id, { keep: true });
    }

    // --- one image ---

    show(id, { keep = false, at = null } = {}) {
      const image = this.data.images.find((item) => item.id === id);
      if (!image) return;
      this.current = image;
      this.errorAt = -1;
      if (this.counted) this.find(".count").textContent = this.counted;
      this.mark();
      this.find(".caption").replaceChildren(node("b", {}, image.id), `: ${image.text}`);
      this.picture = image.picture === null ? null : this.data.pictures[image.picture];
      this.outline();
      if (!this.picture) {
        this.viewer?.close();
        this.message(`There is no picture of this image: the page keeps ${this.data.pictures.length} of ${this.data.images.length}. More come with --pictures.`);
      } else {
        this.message("");
        if (this.picture.kept) this.find(".caption").append(node("span", { class: "soft" }, ` ${this.picture.kept}`));
        this.at = at;
        if (this.viewer) this.open();
      }
      if (keep) keepPlace(this.data.name, id, null);
    }

    message(text) {
      this.find(".message").hidden = !text;
      this.find(".message").textContent = text;
    }

    start() {
      if (this.viewer) return;
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.viewer = OpenSeadragon({
        element: this.find(".viewer"), drawer: "canvas", showNavigationControl: false, animationTime: still ? 0 : 0.35,
        springStiffness: 9, blendTime: 0, maxZoomPixelRatio: 8, minZoomImageRatio: 0.9, visibilityRatio: 0.6,
        gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, crossOriginPolicy: false,
      });
      this.overlay = drawn("svg", { class: "outlines", "aria-hidden": "true" });
      this.viewer.canvas.append(this.overlay);
      this.viewer.canvas.setAttribute("role", "img");
      for (const event of ["update-viewport", "open", "resize"]) this.viewer.addHandler(event, () => this.follow());
      this.viewer.addHandler("open", () => {
        this.outline();
        if (this.at) this.look(this.at, true);
      });
      // The wheel scrolls the page, until the picture has the focus.
      this.viewer.addHandler("canvas-scroll", (event) => {
        if (this.viewer.canvas === document.activeElement || event.originalEvent.ctrlKey) return;
        event.preventDefault = false;
        event.preventDefaultAction = true;
      });
      this.viewer.addHandler("canvas-press", () => this.viewer.canvas.focus({ preventScroll: true }));
      this.viewer.addHandler("canvas-key", (event) => {
        // The viewer would turn and mirror the picture, and the outlines would stay.
        if (["r", "R", "f", "F"].includes(event.originalEvent.key)) event.preventDefaultAction = true;
      });
      this.viewer.addHandler("animation-finish", () => {
        if (!this.picture || !this.moved) return;
        this.moved = false;
        const image = this.viewer.world.getItemAt(0);
        const seen = image.viewportToImageRectangle(this.viewer.viewport.getBounds(true));
        keepPlace(this.data.name, this.current.id, [seen.x + seen.width / 2, seen.y + seen.height / 2, seen.width]);
      });
      for (const event of ["canvas-drag", "canvas-pinch", "canvas-scroll", "canvas-double-click", "canvas-key"]) {
        this.viewer.addHandler(event, () => { this.moved = true; });
      }
      if (this.picture) this.open();
    }

    open() {
      const { width, height, tile, coarsest, finest, tiles } = this.picture;
      const source = new OpenSeadragon.TileSource({ width, height, tileSize: tile, tileOverlap: 0, minLevel: coarsest, maxLevel: finest });
      const name = `${this.data.name}/${this.current.picture}`;
      source.getTileUrl = (level, x, y) => `${name}/${level}/${x}/${y}`;
      source.tileExists = (level, x, y) => `${level}/${x}/${y}` in tiles;
      source.downloadTileStart = (context) => {
        const image = new Image();
        const key = context.src.slice(name.length + 1);
        image.onload = () => context.finish(image, null, "image");
        image.onerror = () => context.fail(`tile ${key} is damaged`, null);
        image.src = `data:image/jpeg;base64,${tiles[key]}`;
      };
      source.downloadTileAbort = () => {};
      this.viewer.open({ tileSource: source });
      this.viewer.canvas.setAttribute("aria-label", `${this.current.id}: ${this.current.text}`);
    }

    zoom(how) {
      if (!this.viewer?.world.getItemCount()) return;
      this.moved = how !== "home";
      if (how === "home") {
        this.viewer.viewport.goHome();
        keepPlace(this.data.name, this.current.id, null);
      } else {
        this.viewer.viewport.zoomBy(how === "in" ? 1.5 : 1 / 1.5);
        this.viewer.viewport.applyConstraints();
      }
    }

    /** Show the part of the image with this middle and width, in pixels of the image. */
    look([x, y, width], immediately = false) {
      const box = this.viewer.viewport.getAspectRatio();
      const seen = new OpenSeadragon.Rect(x - width / 2, y - width / box / 2, width, width / box);
      const item = this.viewer.world.getItemAt(0);
      this.viewer.viewport.fitBounds(item.imageToViewportRectangle(seen), immediately);
    }

    nextError() {
      // Of a semantic mask no kind of error is on at first: then all of them are gone through.
      const all = this.picture?.errors ?? [];
      const chosen = all.filter(([name]) => this.on[name]);
      const errors = chosen.length ? chosen : all;
      if (!errors.length || !this.viewer?.world.getItemCount()) return;
      this.errorAt = (this.errorAt + 1) % errors.length;
      const [name, x, y, width, height] = errors[this.errorAt];
      this.moved = true;
      const seen = Math.min(Math.max(3 * width, 3 * height, 64), this.picture.width);
      const high = seen / this.viewer.viewport.getAspectRatio();
      // At the border of the image the error does not stand in the middle: half of the view would be empty.
      const inside = (at, size, whole) => (size >= whole ? whole / 2 : Math.min(Math.max(at, size / 2), whole - size / 2));
      const at = [inside(x + width / 2, seen, this.picture.width), inside(y + height / 2, high, this.picture.height), seen];
      this.look(at);
      keepPlace(this.data.name, this.current.id, at);
      this.find(".count").textContent = `error ${this.errorAt + 1} of ${errors.length}: ${name}`;
    }

    // --- the outlines ---

    makeLayers() {
      this.on = {};
      this.switches = [];
      for (const label of this.section.querySelectorAll(".layers label")) {
        const name = label.dataset.layer;
        const input = label.querySelector("input");
        const parts = PARTS[name] ?? [name];
        this.on[name] = input.checked;
        input.addEventListener("change", () => { this.on[name] = input.checked; this.outline(); });
        for (const part of parts) this.draw(label.querySelector("svg"), part, "M4 3h14v8h-14z", `${this.data.name}-swatch`);
        this.switches.push([label.querySelector("kbd").textContent, input, parts, name]);
      }
    }

    /** Draw one layer into an SVG element, with a dark edge below so that it shows on bright and dark tissue. */
    draw(svg, part, data, prefix) {
      if (part in HATCHES) {
        const [colour, angle] = HATCHES[part];
        const id = `${prefix}-${part}`;
        const line = drawn("path", { d: `M0 0V${SPACING}` });
        line.style.cssText = `stroke: var(${colour}); stroke-width: 2.4; vector-effect: none`;
        svg.append(drawn("pattern", { id, width: SPACING, height: SPACING, patternUnits: "userSpaceOnUse", "data-angle": angle, patternTransform: `rotate(${angle})` }, line));
        if (part === "lacking" || part === "surplus") {
          svg.append(drawn("path", { class: part, d: data, style: `fill: url("#${id}")` }));
          return;
        }
        svg.append(drawn("path", { class: "case", d: data }), drawn("path", { class: part, d: data, style: `fill: url("#${id}"); fill-rule: evenodd` }));
        return;
      }
      svg.append(drawn("path", { class: "case", d: data }), drawn("path", { class: part, d: data }));
    }

    outline() {
      for (const [, input, parts, name] of this.switches) {
        const empty = !parts.some((part) => part in (this.picture?.layers ?? {}));
        this.section.querySelector(`[data-layer="${name}"]`).classList.toggle("empty", empty);
        input.checked = this.on[name];
      }
      if (!this.overlay) return;
      this.overlay.replaceChildren();
      if (!this.picture) return;
      const group = drawn("g", {});
      for (const [, , parts, name] of this.switches) {
        if (!this.on[name]) continue;
        for (const part of parts) {
          if (part in this.picture.layers) this.draw(group, part, this.picture.layers[part], this.data.name);
        }
      }
      this.overlay.append(group);
      this.follow();
    }

    /** Keep the outlines where the picture is. */
    follow() {
      const item = this.viewer.world.getItemAt(0);
      const group = this.overlay.firstChild;
      if (!item || !group) return;
      const corner = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(0, 0));
      const other = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(this.picture.width, 0));
      const scale = (other.x - corner.x) / this.picture.width;
      // Of a slide seen from afar, thick lines would hide the tissue.
      this.overlay.style.setProperty("--weight", Math.min(1, Math.max(0.4, scale)));
      group.setAttribute("transform", `translate(${corner.x} ${corner.y}) scale(${scale})`);
      for (const pattern of group.querySelectorAll("pattern")) {
        pattern.setAttribute("patternTransform", `rotate(${pattern.dataset.angle}) scale(${1 / scale})`);
      }
    }

    // --- keys ---

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
      const toggle = this.switches.find(([digit]) => digit === event.key);
      const inList = event.target === this.list;
      if (toggle) toggle[1].click();
      else if (event.key === "n" || (inList && ["ArrowDown", "ArrowRight"].includes(event.key))) this.step(1);
      else if (event.key === "p" || (inList && ["ArrowUp", "ArrowLeft"].includes(event.key))) this.step(-1);
      else if (event.key === "e") this.nextError();
      else if (["+", "="].includes(event.key)) this.zoom("in");
      else if (event.key === "-") this.zoom("out");
      else if (event.key === "0") this.zoom("home");
      else return;
      event.preventDefault();
      event.stopPropagation();
    }
  }

  const galleries = new Map();
  const goTo = ({ gallery, id, at }, scroll) => {
    const found = galleries.get(gallery);
    if (!found || !found.data.images.some((image) => image.id === id)) return;
    if (scroll) found.section.scrollIntoView({ block: "start" });
    found.start();
    found.show(id, { at });
  };
  for (const section of document.querySelectorAll("[data-gallery]")) galleries.set(section.dataset.gallery, new Gallery(section));
  // A viewer is made when its gallery comes near, so that a page with several opens at once.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      galleries.get(entry.target.dataset.gallery).start();
      watcher.unobserve(entry.target);
    }
  }, { rootMargin: "400px" });
  for (const { section } of galleries.values()) watcher.observe(section);
  addEventListener("beforeprint", () => { for (const gallery of galleries.values()) gallery.start(); });
  goTo(place(), true);
  addEventListener("hashchange", () => goTo(place(), true));
})();
