"""People rate: sheets to send them, and a page on this machine.

items     what there is to rate, who sees it in which order, and what two people rate
sheet     the sheets, one a rater
answers   what was answered, on disk before anyone is told so
desk      what comes next for whom, and how far raters agree
server    the page, to this machine alone
words     what the page says, in Korean and in English
"""
