from memozy.stages import main

main("check_feedback")
