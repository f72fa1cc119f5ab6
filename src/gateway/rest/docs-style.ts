/** The style of the page of `docs-page.ts`. The page's policy allows it by its hash, and no other. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #f4f6f9; --dim: #5a6472; --text: #1a1f27; --back: #fff; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --line: #343b46; --soft: #1c2129; --dim: #9aa5b3; --text: #e4e8ee; --back: #13171d; --link: #7cb8f7; }
}
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 13rem minmax(0, 1fr); font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; padding: 1.5rem 1rem; }
nav ul { list-style: none; margin: .25rem 0 1rem; padding-left: .75rem; }
main { padding: 1rem 2rem 4rem; max-width: 62rem; border-left: 1px solid var(--line); }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 small { font-weight: normal; color: var(--dim); font-size: 1rem; }
h2 { margin-top: 2.5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 .5rem; }
h4 { margin: 0; font-size: 1rem; }
h5 { margin: .75rem 0 .25rem; color: var(--dim); }
article { margin: .75rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 6px; }
article p { margin: .25rem 0; }
article:target { border-color: var(--link); }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .25rem 0; padding: .5rem .75rem; overflow-x: auto; background: var(--soft); border-radius: 4px; }
table { width: 100%; margin: .5rem 0; border-collapse: collapse; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 600; font-size: 13px; }
dl { margin: .25rem 0; }
dl div { display: grid; grid-template-columns: 14rem minmax(0, 1fr); padding: .15rem 0; }
details dl div { grid-template-columns: 4rem minmax(0, 1fr); }
dd { margin: 0; }
summary { color: var(--dim); cursor: pointer; font-size: 13px; margin-top: .5rem; }
.access { color: var(--dim); font-size: 13px; }
.method { display: inline-block; min-width: 4.5rem; padding: 0 .5rem; border-radius: 4px; color: #fff; text-align: center; font-size: 13px; background: #5a6472; }
.get { background: #1f6feb; } .post { background: #2b7a3d; } .put { background: #9a5b00; } .patch { background: #7a4fbf; } .delete { background: #b3261e; }
@media (max-width: 46rem) { body { display: block; } nav { position: static; } main { border: 0; padding: 1rem; } dl div { display: block; } }
`;
