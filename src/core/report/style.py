"""How a report looks: on a screen, a phone, and paper. No font or picture from outside."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem 1.25rem 3rem; background: #fff; color:
  #1c1c1c;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; padding-bottom: .2rem; border-bottom: 2px solid
  #0072b2; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, ul, dl { margin: .5rem 0; }
ul { padding-left: 1.25rem; }
.sub, figcaption, .small { color: #565656; font-size: .875rem; }
a { color: #00568a; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0;
  font-size: .9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .5rem;
  margin: 1rem 0; }
.facts div { background: #f2f6f9; border-radius: .4rem; padding: .5rem .75rem; font-size:
  .875rem; }
.facts b { display: block; font-size: 1.35rem; line-height: 1.3; }
.wide { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .875rem; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid
  #ddd;
  overflow-wrap: normal; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin-right:
  .4em;
  border: 1px solid #0003; vertical-align: -.05em; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.doubt { border-left: 4px solid #d55e00; background: #fdf4ee; padding: .5rem .75rem; margin:
  .5rem 0;
  break-inside: avoid; }
.doubt b { display: block; }
.always { border-color: #999; background: #f5f5f5; }
figure { margin: 0; break-inside: avoid; }
figure img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
.views { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.each { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap:
  .75rem; }
.each figure { border: 1px solid #ddd; border-radius: .4rem; padding: .4rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem; }
.single figure { max-width: 42rem; margin: 1rem 0; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0;
  font-size: .9rem; }
pre { background: #f5f5f5; border-radius: .4rem; padding: .6rem .75rem; font-size: .8125rem;
  white-space: pre-wrap; }
summary { cursor: pointer; color: #00568a; }
footer { margin-top: 3rem; border-top: 1px solid #ddd; }
@media print {
  @page { size: A4; margin: 16mm 15mm; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3, h2 + p, h3 + p.small { break-after: avoid; }
  tr, .doubt, pre { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  table { font-size: 8.5pt; }
  .wide { break-inside: avoid; }
  .single figure { max-width: 115mm; }
  .facts { grid-template-columns: repeat(5, 1fr); }
  .views { grid-template-columns: 1fr 1fr; }
  .each { grid-template-columns: repeat(4, 1fr); }
  .pair { grid-template-columns: 1fr 1fr; }
  a { color: inherit; text-decoration: none; }
}
"""
