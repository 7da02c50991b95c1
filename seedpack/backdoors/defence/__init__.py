"""Takes backdoors out of a classifier with a few clean samples, and says whether it worked.

    Classifier, clean Samples ──Defence.run──> Classifier           one method each
    controls: known backdoors, planted in twins ──each method──> what is left of them
      ──choose──> the method that removes them at the least accuracy ──> applied to the suspect
    ──reactivation──> does a removed backdoor come back sooner than it is learnt by a clean twin?

``defend`` does all of that for one model.
"""
