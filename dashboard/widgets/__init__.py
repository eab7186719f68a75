"""Parts of pages that draw with Streamlit: filters and limits, panes and duels, answers, jobs, the login gate."""
