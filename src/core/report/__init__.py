"""The report of a run: one HTML file to send to a colleague, which says what was found, how, and
what to doubt.

content (gather): what is known of a run; doubts: what to doubt, in words; markup: HTML that is
escaped; page (report_html, write_report): the file.

May import: common, maps, blocks, thresholds, analysis, runs, figures.
"""
