// What a link of a mail opens with stands behind its '#': it is taken out of the address before anything else is done, and lives in
// this script alone.

const linked = location.hash.slice(1);
if (linked) history.replaceState(null, '', location.pathname + location.search);
// Another link that is opened in the same place.
addEventListener('hashchange', () => location.reload());
