"""When a page is drawn: the conditions, as JavaScript, that the tests in Chromium and the benchmarks wait for."""

ENDED = """(document.querySelector('[data-testid="stApp"]')?.getAttribute('data-test-script-state') === 'notRunning')"""
"""The page's script has run to its end."""
RESTED = f"""() => !document.querySelector('[data-testid="stSkeleton"]') && !!document.querySelector('h1') && {ENDED}"""
"""And nothing of the page is still to come."""
SETTLED = f"""() => ({RESTED})()
    && [...document.querySelectorAll('[class*="st-key-chart-"]')].every(e => e.querySelector('.main-svg'))"""
"""And every chart has come, which at first is a picture alone, and is drawn."""


def rested_for(milliseconds: int) -> str:
    """And the page has not changed for so long, as `window.changed` says, since the time that is handed over."""
    return f"pressed => performance.now() - Math.max(pressed, window.changed) > {milliseconds} && {ENDED}"
