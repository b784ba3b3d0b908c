// Which page this is.

const PAGES = {
  '/sign-in': signIn, '/invitation': acceptInvitation, '/new-password': redeemReset, '/sign-up': signUp, '/account': drawAccount,
};

// A page that the browser has kept shows what may be over.
addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
offerLanguages();
guard(() => PAGES[location.pathname]?.());
