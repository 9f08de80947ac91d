"""The micro-world: a small, simulated world of Korean photo diaries in which the truth is known.

It exists so that the whole loop runs on a laptop with no account and no hub, and so that the
loop's answer can be checked. `contexts` says what can be photographed, `instructions` what a prompt
can ask for, `writer` how a diary follows its prompt (the corpus the tiny LM learns from), and
`raters` how simulated people judge a text and its context, never having seen the prompt.
"""
