from memozy.stages import main

main("import_ratings")
