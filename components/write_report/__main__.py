from memozy.stages import main

if __name__ == "__main__":
    main("write_report")
