from memozy.stages import main

if __name__ == "__main__":
    main("sample_and_filter")
