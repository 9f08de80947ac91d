from memozy.stages import main

if __name__ == "__main__":
    main("train_dpo")
