// URLs: where the page (or Node) points to by default, the address given, and what is requested from it.

const NOWHERE = 'http://127.0.0.1';

// The origin of the current page. Pages from files have the origin `null`, Node has no page.
function defaultURL() {
  const page = typeof location === 'object' && location ? location.origin : '';
  return /^https?:/.test(page) ? page : NOWHERE;
}

// The parts under the names that Node's old url module gave them: plugins read and edit those.
function parseURL(given) {
  const url = new URL(/^(\w[\w+.-]*:)?\/\//.test(given) ? given : '//' + given, defaultURL());
  if (!/^(https?|wss?):$/.test(url.protocol)) throw new TypeError('Primus cannot connect to ' + given);
  return {
    href: url.href,
    protocol: url.protocol,
    auth: url.username && url.username + (url.password && ':' + url.password),
    host: url.host,
    hostname: url.hostname,
    port: url.port,
    pathname: url.pathname,
    query: url.search.slice(1),
    hash: url.hash
  };
}

function formatURL(parts, query) {
  const auth = parts.auth ? parts.auth + '@' : '';
  const path = parts.pathname.replace(/^\/*/, '/').replace(/\/*$/, '/');
  return parts.protocol.replace(/:*$/, '://') + auth + parts.host + path + '?' + query;
}
