// What pages need beyond htmx: which rows are chosen and what can be done with
// them, the confirmation with its progress, fields that appear and vanish, and
// where the focus goes. The pages say everything else in their markup.
(function () {
  'use strict';
  const $ = (selector, from) => (from || document).querySelector(selector);
  const $$ = (selector, from) => Array.from((from || document).querySelectorAll(selector));

  // --- rows and buttons

  const chosen = () => $$('table.rows .picked:checked').map((box) => box.closest('tr'));

  // allowed says whether a button is shown for a row: no "hide" holds, and of the
  // "show" one does.
  function allowed(button, row) {
    if (!button.dataset.rules) return true;
    const rules = JSON.parse(button.dataset.rules);
    const states = JSON.parse(row.dataset.states || '{}');
    const holds = ([name, value]) => (states[name] || '') === value;
    return !(rules.hide || []).some(holds) && (!rules.show || rules.show.some(holds));
  }

  const single = (button) => ['edit', 'editlist', 'window'].includes(button.dataset.type);

  function update() {
    const rows = chosen();
    const boxes = $$('table.rows .picked');
    const all = $('#all');
    if (all) {
      all.checked = rows.length > 0 && rows.length === boxes.length;
      all.indeterminate = rows.length > 0 && rows.length < boxes.length;
    }
    for (const row of $$('table.rows tbody tr')) row.classList.toggle('chosen', rows.includes(row));
    for (const button of $$('.toolbar .rowbtn')) {
      const fit = rows.filter((row) => allowed(button, row));
      button.classList.toggle('away', rows.length > 0 && fit.length === 0);
      button.disabled = single(button) ? rows.length !== 1 || fit.length !== 1 : fit.length === 0;
    }
    const bar = $('.toolbar');
    if (bar) bar.classList.toggle('has-chosen', rows.length > 0);
    const said = $('#selected');
    if (said) said.textContent = rows.length ? said.dataset.label + ': ' + rows.length : '';
  }

  // run does what a button says with rows: opens a page, or makes a call.
  function run(button, rows) {
    rows = rows.filter((row) => allowed(button, row));
    if (rows.length === 0) return;
    const form = document.getElementById((button.hasAttribute('data-post') ? 'post-' : 'get-') + button.dataset.func);
    const elid = rows.map((row) => row.dataset.key).join(', ');
    if (button.dataset.type === 'window' && !button.hasAttribute('data-post')) {
      const query = new URLSearchParams(new FormData(form));
      query.set('elid', elid);
      window.open(form.getAttribute('action') + '?' + query, '_blank', 'noopener');
      return;
    }
    $('input[name=elid]', form).value = elid; // switches in the rows belong to the form too
    if (button.hasAttribute('data-confirm')) confirm(button, rows, form);
    else form.requestSubmit();
  }

  // --- confirmation

  const mostNames = 12;

  function confirm(button, rows, form) {
    const dialog = $('#confirm');
    $('#confirm-title').textContent = button.dataset.label;
    $('#confirm-hint').textContent = button.dataset.hint;
    $('#confirm-hint').hidden = !button.dataset.hint;
    $('#confirm-count').textContent = rows.length > 1 ? '(' + rows.length + ')' : '';
    $('#confirm-names').replaceChildren(...rows.slice(0, mostNames).map((row) => {
      const item = document.createElement('li');
      item.textContent = row.dataset.name;
      return item;
    }));
    const more = $('#confirm-more');
    more.hidden = rows.length <= mostNames;
    $('b', more).textContent = rows.length - mostNames;
    const ok = $('#confirm-ok');
    ok.textContent = button.dataset.label;
    ok.classList.toggle('danger', button.hasAttribute('data-danger'));
    ok.disabled = $('#confirm-cancel').disabled = false;
    $('#confirm-progress').hidden = true;
    ok.onclick = () => {
      ok.disabled = $('#confirm-cancel').disabled = true;
      $('#confirm-progress').hidden = false;
      form.requestSubmit();
      follow(form.elements._id.value);
    };
    $('#confirm-cancel').onclick = () => dialog.close();
    dialog.showModal();
    (button.hasAttribute('data-danger') ? $('#confirm-cancel') : ok).focus();
  }

  // follow shows how far a call is until the page that made it has gone.
  async function follow(id) {
    const bar = $('#confirm-progress progress');
    while (bar.isConnected && $('#confirm').open && !$('#confirm-progress').hidden) {
      try {
        const answer = await fetch('/progress?' + new URLSearchParams({ _id: id }), { credentials: 'same-origin' });
        const now = await answer.json();
        if (now.running && now.total > 0) {
          bar.max = now.total;
          bar.value = now.done;
          $('#confirm-done').textContent = now.done + ' / ' + now.total + (now.text ? ' · ' + now.text : '');
        }
      } catch (e) { /* the call itself tells of a panel that is gone */ }
      await new Promise((done) => setTimeout(done, 300));
    }
  }

  // copy puts a text on the clipboard. Browsers give the clipboard only to pages over
  // TLS or from the same machine; elsewhere the text is chosen, to be copied by hand.
  async function copy(button) {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch (e) {
      window.getSelection().selectAllChildren(text);
      return;
    }
    const label = button.title;
    button.title = button.dataset.copied;
    button.classList.add('copied');
    setTimeout(() => { button.title = label; button.classList.remove('copied'); }, 2000);
  }

  // --- the menu of a row

  let menuRow = null, menuFrom = null;

  function openMenu(row, from, x, y) {
    const menu = $('#rowmenu');
    if (!menu) return;
    closeMenu(false);
    for (const item of $$('[role=menuitem]', menu)) item.hidden = !allowed(item, row);
    for (const group of $$('[role=group]', menu)) group.hidden = !$('[role=menuitem]:not([hidden])', group);
    menuRow = row;
    menuFrom = from;
    menu.hidden = false;
    const margin = 8;
    x = Math.max(margin, Math.min(x, document.documentElement.clientWidth - menu.offsetWidth - margin));
    if (y + menu.offsetHeight + margin > window.innerHeight) y = Math.max(margin, window.innerHeight - menu.offsetHeight - margin);
    menu.style.left = x + 'px';
    menu.style.top = y + 'px';
    row.classList.add('menuopen');
    const first = $('[role=menuitem]:not([hidden])', menu);
    if (first) first.focus();
  }

  function closeMenu(back) {
    const menu = $('#rowmenu');
    if (!menu || menu.hidden) return;
    menu.hidden = true;
    if (menuRow) menuRow.classList.remove('menuopen');
    if (back && menuFrom && menuFrom.isConnected) menuFrom.focus();
    menuRow = menuFrom = null;
  }

  function menuKey(event) {
    const items = $$('#rowmenu [role=menuitem]:not([hidden])');
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === 'Escape' || event.key === 'Tab') {
      closeMenu(true);
      event.preventDefault();
    } else if (to !== undefined) {
      items[(to + items.length) % items.length].focus();
      event.preventDefault();
    }
  }

  // --- forms

  // conditions hides what the choices hide. What is hidden is not sent either.
  function conditions(form) {
    const all = JSON.parse(form.dataset.conditions || '[]');
    if (all.length === 0) return;
    const value = (name) => {
      const controls = $$('[name="' + CSS.escape(name) + '"]', form).filter((c) => c.type !== 'hidden' || $$('[name="' + CSS.escape(name) + '"]', form).length === 1);
      const control = controls.find((c) => c.type !== 'radio' || c.checked);
      if (!control) return '';
      return control.type === 'checkbox' ? (control.checked ? 'on' : 'off') : control.value;
    };
    const holds = (c) => c.else
      ? !all.some((o) => o.control === c.control && !o.else && o.value === value(c.control))
      : value(c.control) === c.value;
    const off = {};
    for (const c of all.filter((c) => c.hide)) {
      if (!(c.hide in off)) off[c.hide] = '';
      if (holds(c) && off[c.hide] !== 'hidden') off[c.hide] = c.shadow ? 'shadow' : 'hidden';
    }
    for (const section of $$('[data-section]', form)) {
      section.hidden = Boolean(off[section.dataset.section]);
      for (const part of $$('[data-field]', section)) {
        const how = off[part.dataset.field] || '';
        part.hidden = how === 'hidden';
        for (const control of $$('input, select, textarea', part)) {
          control.disabled = how !== '' || section.hidden || control.hasAttribute('data-fixed');
        }
      }
    }
  }

  // --- the page as a whole

  function arrive() {
    const form = $('#form');
    if (form) conditions(form);
    update();
    const to = $('[data-focus]');
    if (to) {
      to.focus();
      if (to.matches('input[type=text], textarea')) to.setSelectionRange(to.value.length, to.value.length);
    }
    else if (!document.activeElement || document.activeElement === document.body) {
      const first = $('#form [data-field]:not([hidden]) :is(input:not([type=hidden]):not([readonly]), select, textarea):not(:disabled)');
      const field = first || $('h1[tabindex]');
      if (field && document.documentElement.dataset.arrived) field.focus({ preventScroll: true });
    }
    document.documentElement.dataset.arrived = '1';
  }

  document.addEventListener('change', (event) => {
    const at = event.target;
    if (at.id === 'all') for (const box of $$('table.rows .picked')) box.checked = at.checked;
    if (at.id === 'all' || at.classList.contains('picked')) update();
    if (at.classList.contains('autosend')) at.form.requestSubmit();
    if (at.form && at.form.id === 'form') conditions(at.form);
  });

  document.addEventListener('click', (event) => {
    const at = event.target;
    const item = at.closest('#rowmenu [role=menuitem]');
    if (item) {
      const row = menuRow;
      closeMenu(true);
      run(item, [row]);
      return;
    }
    const more = at.closest('.morebtn');
    if (more && menuFrom !== more) {
      const box = more.getBoundingClientRect();
      openMenu(more.closest('tr'), more, box.right - 220, box.bottom + 4);
      return;
    }
    closeMenu(false);
    const button = at.closest('.toolbar .rowbtn');
    if (button && !button.disabled) run(button, chosen());
    const copied = at.closest('.copybtn');
    if (copied) copy(copied);
    if (at.closest('.dismiss')) at.closest('.notice').remove();
  });

  document.addEventListener('contextmenu', (event) => {
    const row = event.target.closest('table.rows tbody tr[data-key]');
    if (!row || !$('#rowmenu') || event.target.closest('a') || String(window.getSelection())) return;
    event.preventDefault();
    openMenu(row, $('.morebtn', row), event.clientX, event.clientY);
  });

  document.addEventListener('keydown', (event) => {
    const menu = $('#rowmenu');
    if (menu && !menu.hidden) return menuKey(event);
    // Enter in a form saves, whatever button stands first.
    if (event.key === 'Enter' && event.target.form && event.target.form.id === 'form' && event.target.matches('input:not([type=checkbox]):not([type=radio]), select')) {
      const save = $('[data-default]', event.target.form);
      if (save && !event.isComposing) {
        event.preventDefault();
        event.target.form.requestSubmit(save);
      }
    }
  });

  // A confirmation that runs is not closed by the Escape key.
  document.addEventListener('cancel', (event) => {
    if (event.target.id === 'confirm' && $('#confirm-ok').disabled) event.preventDefault();
  }, true);

  document.addEventListener('scroll', () => closeMenu(false), { passive: true });
  document.addEventListener('htmx:afterSettle', arrive);
  // A connection that breaks (a proxy that starts anew, another network) says nothing of
  // the panel: what was asked is asked once more. Nothing is done twice by it, for what
  // changes something has the id of its page.
  const again = 'X-Again';
  function askAgain(detail) {
    const asked = detail.requestConfig;
    if (again in asked.headers || asked.verb !== 'get' && !asked.formData.has('_id')) return false;
    setTimeout(() => {
      if (!asked.elt.isConnected) return;
      htmx.ajax(asked.verb, asked.path, {
        source: asked.elt, event: asked.triggeringEvent, target: detail.target, select: detail.select,
        values: asked.formData, headers: { ...asked.headers, [again]: '1' },
      }).catch(() => {}); // htmx:sendError tells
    }, 500);
    return true;
  }
  function unreachable() {
    const dialog = $('#confirm');
    if (dialog && dialog.open) dialog.close();
    const box = $('#unreachable');
    if (box) box.hidden = false;
    window.scrollTo(0, 0);
  }
  for (const name of ['htmx:responseError', 'htmx:timeout']) document.addEventListener(name, unreachable);
  document.addEventListener('htmx:sendError', (event) => {
    if (!askAgain(event.detail)) unreachable();
  });
  document.addEventListener('htmx:beforeRequest', () => {
    const box = $('#unreachable');
    if (box) box.hidden = true;
  });
  arrive();
})();
