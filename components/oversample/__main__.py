from memozy.stages import main

main("oversample")
