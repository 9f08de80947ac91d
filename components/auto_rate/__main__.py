from memozy.stages import main

main("auto_rate")
