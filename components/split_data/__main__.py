from memozy.stages import main

main("split_data")
