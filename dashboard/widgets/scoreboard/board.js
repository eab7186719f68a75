// The scoreboard's table. Every text is set as text, so nothing of a name or a note is ever read as markup.
const made = (tag, name, text) => {
    const element = document.createElement(tag)
    if (name) element.className = name
    if (text) element.textContent = text
    return element
}

const bar = ([low, value, high, baseline]) => {
    const track = made('span', 'bar')
    track.setAttribute('aria-hidden', 'true')
    const put = (name, left, width) => {
        const part = made('span', name)
        part.style.left = `${100 * left}%`
        if (width !== undefined) part.style.width = `${100 * width}%`
        track.append(part)
    }
    if (low !== null && high !== null) put('spread', low, high - low)
    if (baseline !== null) put('baseline', baseline)
    put('point', value)
    return track
}

export default ({ data, parentElement, setTriggerValue }) => {
    const root = parentElement.querySelector('.board')
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : ''
    const clicks = (button, focus, event, value) => {
        button.type = 'button'
        button.dataset.focus = focus
        button.onclick = click => { click.stopPropagation(); setTriggerValue(event, value) }
        return button
    }
    const filled = (cell, shown, row, column) => {
        if (shown.measure) {
            const button = made('button', 'measure', `▶ ${shown.measure}`)
            button.setAttribute('aria-label', `${shown.measure}: ${row.name}, ${column.title}`)
            cell.append(clicks(button, `measure ${row.id} ${column.key}`, 'measure', [row.id, column.key]))
            return cell
        }
        const figure = made('span', 'figure', shown.text || '–')
        if (shown.odd) figure.append(made('sup', '', '*'))
        cell.append(figure)
        if (shown.bar) cell.append(bar(shown.bar))
        if (shown.difference) {
            const beside = made('span', 'beside')
            beside.append(made('span', 'difference', shown.difference), made('span', '', ` ${shown.pairs}`))
            cell.append(beside)
        }
        if (shown.said) {
            cell.title = shown.said
            cell.append(made('span', 'hidden', ` (${shown.said})`))
        }
        return cell
    }
    const line = row => {
        const tr = made('tr', row.opened ? 'opened' : '')
        tr.onclick = () => setTriggerValue('open', row.id)
        const standing = made('td', 'standing')
        const sign = made('span', 'sign', row.sign)
        sign.setAttribute('aria-hidden', 'true')
        standing.append(sign, made('span', '', row.standing))
        if (row.baseline) standing.append(made('span', 'badge base', 'baseline'))
        const name = made('th')
        name.scope = 'row'
        const dot = made('span', 'dot')
        dot.style.background = row.colour
        const button = clicks(made('button', 'name', row.name), `open ${row.id}`, 'open', row.id)
        button.setAttribute('aria-expanded', String(row.opened))
        const small = made('span', 'small', row.base)
        for (const [badge, whose] of row.formats) {
            const one = made('span', 'badge', badge)
            one.title = whose
            small.append(' ', one)
        }
        name.append(dot, button, small)
        tr.append(standing, name)
        row.cells.forEach((cell, at) => tr.append(filled(made('td'), cell, row, data.columns[at + 2])))
        return tr
    }
    const table = made('table')
    table.append(made('caption', 'hidden', 'Fine-tunes, best standing first'))
    const head = made('tr')
    for (const column of data.columns) {
        const cell = made('th')
        cell.scope = 'col'
        cell.setAttribute('aria-sort', column.sorted)
        cell.title = column.help
        const arrow = { ascending: ' ↑', descending: ' ↓', none: '' }[column.sorted]
        cell.append(clicks(made('button', 'head', column.title + arrow), `sort ${column.key}`, 'sort', column.key))
        head.append(cell)
    }
    const top = made('thead')
    top.append(head)
    const body = made('tbody')
    body.append(...data.rows.map(line))
    table.append(top, body)
    root.replaceChildren(table)
    if (focused) root.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus()
}
