/// The style sheet of pages, for light and dark screens and for paper.
///
/// The eight colours of the series have a contrast of at least 4.5:1 against the background, which text
/// needs, and stay distinguishable for people with red-green or blue-yellow colour blindness (distances in
/// CIELAB after Machado, Oliveira and Fernandes, 2009).
let stylesheet: Markup = """
  :root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --muted: #5c6670; --hair: #e3e6ea;
    --base: #98a1ab; --wall: #d9dde2; --mark: #fff1c2;
    --c0: #005a9c; --c1: #b85a00; --c2: #05834f; --c3: #c0489a; --c4: #5a2a08; --c5: #4326a8; --c6: #5a646e;
    --c7: #c8153d; }
  @media screen and (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e6e9ed; --muted: #a2abb5;
    --hair: #2a3038; --base: #66707b; --wall: #333b45; --mark: #4a3f14;
    --c0: #4ba3f5; --c1: #f0a93a; --c2: #5fe3a6; --c3: #e86fb8; --c4: #f4ea8a; --c5: #c9b5fb; --c6: #aebcc6;
    --c7: #fb5a52; } }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--paper); color: var(--ink);
    font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
  main { max-width: 1008px; margin: 0 auto; padding: 40px 24px 64px; }
  h1 { font-size: 28px; line-height: 1.2; font-weight: 650; margin: 0 0 6px; letter-spacing: -0.01em;
    overflow-wrap: anywhere; }
  h2 { font-size: 20px; font-weight: 650; margin: 56px 0 8px; }
  h3 { font-size: 16px; font-weight: 650; margin: 28px 0 4px; }
  p { margin: 0 0 16px; max-width: 46em; }
  .lead, figcaption, .small { color: var(--muted); }
  .lead { margin-bottom: 28px; }
  figcaption, .small { font-size: 14px; max-width: 54em; }
  figure { margin: 20px 0 28px; break-inside: avoid; }
  .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 20px 24px; }
  .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 8px 28px;
    align-items: end; }
  .charts figure, .pair figure { margin: 0; }
  .strip { display: flex; flex-wrap: wrap; gap: 8px 12px; }
  .strip figure { margin: 0; }
  .strip img { display: block; image-rendering: pixelated; }
  svg { display: block; max-width: 100%; height: auto; overflow: visible; }
  ul { margin: 0; padding-left: 1.2em; }
  .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 24px; padding: 0; margin: 12px 0 16px;
    font-size: 14px; }
  .swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; background: var(--c);
    margin-right: 8px; vertical-align: -1px; }
  .swatch.dotted { background: none; border: 3px dotted var(--c); }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; margin: 8px 0 16px; }
  th { font-weight: 600; }
  thead th { color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--base); vertical-align: bottom; }
  th, td { white-space: nowrap; padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--hair); }
  th:first-child { text-align: left; }
  mark { background: var(--mark); color: inherit; padding: 1px 5px; border-radius: 3px; }
  details { margin-top: 6px; font-size: 14px; }
  summary { color: var(--muted); cursor: pointer; width: max-content; }
  dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 0 32px; margin: 8px 0;
    font-size: 14px; }
  dl div { display: flex; justify-content: space-between; gap: 12px; border-bottom: 1px solid var(--hair);
    padding: 4px 0; }
  dt { color: var(--muted); }
  dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
  .notes { border-left: 3px solid var(--c1); padding-left: 14px; margin: 16px 0; font-size: 14px; }
  .s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); }
  .s4 { --c: var(--c4); } .s5 { --c: var(--c5); } .s6 { --c: var(--c6); } .s7 { --c: var(--c7); }
  .neutral { --c: var(--muted); }
  svg text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
  svg .tick, svg .axis { fill: var(--muted); }
  svg .axis { font-size: 13px; }
  svg .name, svg .value { font-size: 13px; }
  svg .name { fill: var(--c, var(--ink)); font-weight: 550; }
  .axes .grid { stroke: var(--hair); }
  .base, .axes .mark { stroke: var(--base); }
  .switch { stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 6 4; }
  .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  .dashed .line { stroke-dasharray: 2 5; stroke-width: 1.75; }
  .dotted .line { stroke-dasharray: 7 4; }
  .band { fill: var(--c); opacity: 0.16; }
  .dot { fill: var(--c); stroke: var(--paper); stroke-width: 1; }
  .leader { fill: none; stroke: var(--c); stroke-width: 1; stroke-dasharray: 1 3; }
  .point { fill: var(--c); }
  .interval { fill: none; stroke: var(--c); stroke-width: 2; opacity: 0.5; }
  .part0, .bar { fill: var(--c); } .part1 { fill: var(--c); opacity: 0.45; } .part2 { fill: var(--c); opacity: 0.25; }
  .part3 { fill: var(--c); opacity: 0.15; }
  .bar { opacity: 0.55; }
  .pointer { stroke: var(--ink); stroke-width: 1.5; }
  .walls { fill: var(--wall); }
  .floor { fill: var(--paper); }
  .goal { fill: none; stroke: var(--ink); stroke-width: 2; }
  .way { fill: none; stroke: var(--c); stroke-width: 1.25; opacity: 0.6; stroke-linejoin: round; }
  .way.lost { stroke-dasharray: 4 2; }
  .begin { fill: var(--ink); }
  svg .place { fill: var(--ink); font-size: 13px; font-weight: 550; paint-order: stroke; stroke: var(--paper);
    stroke-width: 3px; }
  @media screen and (max-width: 720px) { main { padding: 24px 16px 48px; } .scroll { overflow-x: auto; }
    svg.large { max-width: none; width: 760px; } .pair { grid-template-columns: minmax(0, 1fr); } }
  @media print { main { max-width: none; padding: 0; } body { font-size: 11pt; } h2 { break-after: avoid; }
    .charts { grid-template-columns: repeat(3, 1fr); } .pair { grid-template-columns: 1fr 1fr; }
    table { font-size: 9pt; } details { display: none; } }
  """
