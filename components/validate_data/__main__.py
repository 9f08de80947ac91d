from memozy.stages import main

main("validate_data")
